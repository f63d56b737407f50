using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// An io_uring for sends: entries are queued in memory and handed to the kernel by one system call. Each send is made with
/// MSG_DONTWAIT and so is over when <see cref="Submit"/> returns; only sends that failed or were short leave a completion.
/// <para>
/// Owned by the thread that made it (IORING_SETUP_SINGLE_ISSUER): every call from that thread. Layouts and numbers from
/// linux/io_uring.h; the protocol of the two rings from io_uring(7).
/// </para>
/// </summary>
internal sealed unsafe class IoUring : IDisposable
{
    private const uint SetupCqSize = 1u << 3;
    private const uint SetupClamp = 1u << 4;
    private const uint SetupSubmitAll = 1u << 7;
    private const uint SetupSingleIssuer = 1u << 12;
    private const uint SetupDeferTaskRun = 1u << 13;
    private const uint FeatureSingleMmap = 1u << 0;
    private const uint FeatureCqeSkip = 1u << 11;
    private const byte OpSend = 26;
    private const byte SqeCqeSkipSuccess = 1 << 6;
    private const uint EnterGetEvents = 1;
    private const nint OffsetSqRing = 0;
    private const nint OffsetSqes = 0x10000000;

    private readonly int _fd;
    private readonly byte* _ring;
    private readonly nint _ringBytes;
    private readonly Sqe* _sqes;
    private readonly nint _sqesBytes;
    private readonly uint* _sqHead;
    private readonly uint* _sqTail;
    private readonly uint _sqMask;
    private readonly uint* _cqHead;
    private readonly uint* _cqTail;
    private readonly uint _cqMask;
    private readonly Cqe* _cqes;
    private uint _queuedTail;

    private IoUring(int fd, in Params parameters)
    {
        _fd = fd;
        Capacity = (int)parameters.SqEntries;
        nint sqBytes = (nint)(parameters.SqOff.Array + (parameters.SqEntries * sizeof(uint)));
        nint cqBytes = (nint)(parameters.CqOff.Cqes + (parameters.CqEntries * sizeof(Cqe)));
        _ringBytes = Math.Max(sqBytes, cqBytes);
        _ring = Map(fd, _ringBytes, OffsetSqRing);
        _sqesBytes = (nint)(parameters.SqEntries * sizeof(Sqe));
        try
        {
            _sqes = (Sqe*)Map(fd, _sqesBytes, OffsetSqes);
        }
        catch
        {
            _ = Libc.munmap((nint)_ring, _ringBytes); // A mapping keeps the ring alive, also when its descriptor is closed.
            throw;
        }

        _sqHead = (uint*)(_ring + parameters.SqOff.Head);
        _sqTail = (uint*)(_ring + parameters.SqOff.Tail);
        _sqMask = *(uint*)(_ring + parameters.SqOff.RingMask);
        _cqHead = (uint*)(_ring + parameters.CqOff.Head);
        _cqTail = (uint*)(_ring + parameters.CqOff.Tail);
        _cqMask = *(uint*)(_ring + parameters.CqOff.RingMask);
        _cqes = (Cqe*)(_ring + parameters.CqOff.Cqes);
        uint* array = (uint*)(_ring + parameters.SqOff.Array);
        for (uint i = 0; i < parameters.SqEntries; i++)
        {
            array[i] = i; // The indirection of the submission ring is not needed: entry i is always slot i.
        }

        _queuedTail = *_sqTail;
    }

    /// <summary>Entries that can be queued before a <see cref="Submit"/>.</summary>
    public int Capacity { get; }

    /// <summary>Entries queued and not yet submitted.</summary>
    public int Queued => (int)(_queuedTail - *_sqTail);

    /// <summary>
    /// Null when this kernel has no io_uring that suffices, or forbids it (container profiles often do);
    /// <paramref name="reason"/> says which.
    /// </summary>
    public static IoUring? TryCreate(int entries, out string reason)
    {
        var parameters = new Params
        {
            // SINGLE_ISSUER and DEFER_TASKRUN: 6.0 and 6.1. Without them completions may interrupt the thread at any point.
            Flags = SetupCqSize | SetupClamp | SetupSubmitAll | SetupSingleIssuer | SetupDeferTaskRun,
            CqEntries = (uint)entries * 2, // Every queued send may fail.
        };
        int fd = (int)Libc.syscall(Libc.SYS_io_uring_setup, entries, (nint)(&parameters), 0, 0, 0, 0);
        if (fd < 0)
        {
            reason = $"io_uring_setup: {Marshal.GetPInvokeErrorMessage(Libc.LastError)}";
            return null;
        }

        const uint Needed = FeatureSingleMmap | FeatureCqeSkip;
        if ((parameters.Features & Needed) != Needed)
        {
            reason = "the kernel's io_uring is too old";
            _ = Libc.close(fd);
            return null;
        }

        // A filter may let the setup pass and forbid this one.
        if (Libc.syscall(Libc.SYS_io_uring_enter, fd, 0, 0, (nint)EnterGetEvents, 0, 0) < 0)
        {
            reason = $"io_uring_enter: {Marshal.GetPInvokeErrorMessage(Libc.LastError)}";
            _ = Libc.close(fd);
            return null;
        }

        try
        {
            reason = "";
            return new IoUring(fd, parameters);
        }
        catch (IOException exception) // No memory for the rings.
        {
            reason = exception.Message;
            _ = Libc.close(fd);
            return null;
        }
    }

    /// <summary>
    /// Queues one send. The bytes must stay where they are until <see cref="Submit"/> returns; there must be room
    /// (<see cref="Queued"/> below <see cref="Capacity"/>). Never queue two sends of one socket: when the first is short,
    /// the second would follow in the middle of a frame.
    /// </summary>
    /// <param name="fd">A socket.</param>
    /// <param name="bytes">Pinned.</param>
    /// <param name="length">In bytes.</param>
    /// <param name="token">Comes back with the completion.</param>
    public void QueueSend(int fd, byte* bytes, int length, int token)
    {
        Invariant.Require(Queued < Capacity);
        Sqe* sqe = &_sqes[_queuedTail & _sqMask];
        *sqe = default;
        sqe->Opcode = OpSend;
        sqe->Flags = SqeCqeSkipSuccess;
        sqe->Fd = fd;
        sqe->Address = (ulong)bytes;
        sqe->Length = (uint)length;
        // WAITALL makes a short send a failure, which leaves a completion with the count; without it, the skip flag would hide it.
        sqe->OpFlags = Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL | Libc.MSG_WAITALL;
        sqe->UserData = (ulong)token;
        _queuedTail++;
    }

    /// <summary>Makes the kernel carry out all queued sends. Afterwards read <see cref="TryTakeCompletion"/> until it is false.</summary>
    public void Submit()
    {
        // Release: the entries before the tail that shows them to the kernel.
        uint submitted = *_sqTail;
        Volatile.Write(ref *_sqTail, _queuedTail);
        while (submitted != _queuedTail)
        {
            nint count = Libc.syscall(Libc.SYS_io_uring_enter, _fd, (nint)(_queuedTail - submitted), 0, (nint)EnterGetEvents, 0, 0);
            if (count < 0)
            {
                int error = Libc.LastError;
                if (error is Libc.EINTR or Libc.EAGAIN)
                {
                    continue; // A signal, or no memory for a moment: the kernel took none.
                }

                throw Libc.Failure("io_uring_enter");
            }

            submitted += (uint)count; // It may take fewer than there are.
        }

        Invariant.Require(Volatile.Read(ref *_sqHead) == _queuedTail);
    }

    /// <summary>A send that was short (result: bytes sent) or failed (result: negative errno).</summary>
    public bool TryTakeCompletion(out int token, out int result)
    {
        uint head = *_cqHead;
        // Acquire: the tail before the entry it covers.
        if (head == Volatile.Read(ref *_cqTail))
        {
            token = result = 0;
            return false;
        }

        Cqe* cqe = &_cqes[head & _cqMask];
        token = (int)cqe->UserData;
        result = cqe->Result;
        // Release: our reads of the entry before the head that gives its place back.
        Volatile.Write(ref *_cqHead, head + 1);
        return true;
    }

    public void Dispose()
    {
        _ = Libc.munmap((nint)_ring, _ringBytes);
        _ = Libc.munmap((nint)_sqes, _sqesBytes);
        _ = Libc.close(_fd);
    }

    private static byte* Map(int fd, nint length, nint offset)
    {
        nint address = Libc.mmap(0, length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_POPULATE, fd, offset);
        return address == -1 ? throw Libc.Failure("mmap of io_uring") : (byte*)address;
    }

    [StructLayout(LayoutKind.Explicit, Size = 64)]
    private struct Sqe
    {
        [FieldOffset(0)]
        public byte Opcode;
        [FieldOffset(1)]
        public byte Flags;
        [FieldOffset(4)]
        public int Fd;
        [FieldOffset(16)]
        public ulong Address;
        [FieldOffset(24)]
        public uint Length;
        [FieldOffset(28)]
        public int OpFlags;
        [FieldOffset(32)]
        public ulong UserData;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Cqe
    {
        public ulong UserData;
        public int Result;
        public uint Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SqOffsets
    {
        public uint Head;
        public uint Tail;
        public uint RingMask;
        public uint RingEntries;
        public uint Flags;
        public uint Dropped;
        public uint Array;
        public uint Reserved;
        public ulong UserAddress;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct CqOffsets
    {
        public uint Head;
        public uint Tail;
        public uint RingMask;
        public uint RingEntries;
        public uint Overflow;
        public uint Cqes;
        public uint Flags;
        public uint Reserved;
        public ulong UserAddress;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Params
    {
        public uint SqEntries;
        public uint CqEntries;
        public uint Flags;
        public uint SqThreadCpu;
        public uint SqThreadIdle;
        public uint Features;
        public uint WqFd;
        public Reserved3 Reserved;
        public SqOffsets SqOff;
        public CqOffsets CqOff;
    }

    [InlineArray(3)]
    private struct Reserved3
    {
        private uint _element;
    }
}
