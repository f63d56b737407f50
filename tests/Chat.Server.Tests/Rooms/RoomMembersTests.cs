using System.Buffers;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using CsCheck;

namespace Chat.Server.Tests.Rooms;

public sealed class RoomMembersTests : IAsyncLifetime
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);
    private RoomSetup _setup = null!;
    private RoomMembers _group = null!;

    public async ValueTask InitializeAsync()
    {
        _setup = await RoomSetup.OpenAsync();
        _group = _setup.Room.MembersOn(_shard);
    }

    public ValueTask DisposeAsync() => _setup.DisposeAsync();

    private Membership NewMember() =>
        new(new ChatSession(_shard, new TestOutlet(), _setup.Ann, DateTimeOffset.MaxValue, null, _setup.Services), _group);

    [Fact]
    public void Members_come_go_and_are_preferred_in_any_order_and_each_knows_its_place() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 1000]).Array[0, 200].Sample(
            steps =>
            {
                var expected = new List<Membership>();
                foreach ((int step, int pick) in steps)
                {
                    if (step < 2 || expected.Count == 0)
                    {
                        _group.Activate();
                        expected.Add(NewMember());
                        _group.Add(expected[^1]);
                    }
                    else if (step < 4)
                    {
                        _group.Prefer(expected[pick % expected.Count]);
                    }
                    else
                    {
                        Membership leaving = expected[pick % expected.Count];
                        expected.Remove(leaving);
                        _group.Leave(leaving);
                        _group.Leave(leaving); // Again: nothing.
                        _group.Prefer(leaving);
                        Assert.Equal(-1, leaving.Index);
                    }

                    Assert.Equal(expected.Count, _group.Count);
                    Assert.Equal(expected.Count > 0, _group.IsActive);
                    Assert.All(expected, member => Assert.Same(member, _group[member.Index]));
                }

                expected.ForEach(_group.Leave);
            },
            iter: 100,
            threads: 1);

    [Fact]
    public void The_first_member_starts_at_the_head()
    {
        _setup.Offer("one");
        _group.Activate();
        _setup.Room.Ring.GetHead(out long seq, out long position);

        Assert.Equal((1L, seq, position), (seq, _group.Seq, _group.Position));
        _setup.Offer("two");
        _group.Activate(); // Active already: it does not skip.
        Assert.Equal(1, _group.Seq);
    }

    [Fact]
    public void Those_who_join_are_held_the_same_bytes_and_keep_the_cursor_active()
    {
        _group.Activate();
        Membership early = NewMember();
        Membership late = NewMember();
        _group.Join(early);
        _group.Hold("one"u8, "two"u8);
        _group.Join(late);
        _group.Hold("three"u8, default);

        Assert.Equal("onetwothree"u8, _group.EndJoin(early).ToArray());
        Assert.True(_group.IsActive);
        Assert.Equal("three"u8, _group.EndJoin(late).ToArray());
        _group.Leave(late);
        Assert.False(_group.IsActive);
    }

    [Fact]
    public void A_member_that_leaves_while_it_joins_is_held_nothing_more()
    {
        _group.Activate();
        Membership member = NewMember();
        _group.Join(member);
        _group.Leave(member);
        _group.Hold("one"u8, default);

        Assert.False(member.IsJoining);
        Assert.False(_group.IsActive);
    }

    [Fact]
    public void What_waits_for_an_event_to_be_served_runs_when_the_last_member_leaves_before_it_comes()
    {
        bool hasRun = false;
        _group.Activate();
        Membership member = NewMember();
        _group.Add(member);
        _group.WhenServed(_setup.Room.HeadSeq + 1, new ShardWork((_, _) => hasRun = true, this, null));
        _shard.TurnAll();
        Assert.False(hasRun);

        _group.Leave(member);
        _shard.TurnAll();

        Assert.True(hasRun);
        Assert.False(_group.IsWaitedFor);
    }

    [Fact]
    public void Held_bytes_over_the_limit_are_given_up_and_the_cursor_stays()
    {
        _group.Activate();
        Membership member = NewMember();
        _group.Join(member);
        _group.Hold(new byte[RoomSetup.Limits.BacklogBytesMax], default);
        Assert.False(member.HasOverflowed);
        _group.Hold("x"u8, default);
        _group.Hold("y"u8, default);

        Assert.True(member.HasOverflowed);
        Assert.True(_group.EndJoin(member).IsEmpty);
        Assert.True(_group.IsActive);
        _group.Leave(member);
    }

    [Fact]
    public void The_dirty_mark_is_set_by_one_and_may_be_set_again_when_it_is_off()
    {
        Assert.True(_group.TryMarkDirty());
        Assert.False(_group.TryMarkDirty());
        _group.ClearDirty();
        Assert.True(_group.TryMarkDirty());
    }
}
