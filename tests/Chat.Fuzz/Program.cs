using Chat.Fuzz;
using SharpFuzz;

// Chat.Fuzz TARGET              under afl-fuzz, on instrumented assemblies: scripts/fuzz.sh
// Chat.Fuzz TARGET FILE...      runs the inputs in these files, and shows what is wrong with them
// Chat.Fuzz --list              the targets
// Chat.Fuzz --seeds FOLDER      writes the seeds of each target into a folder of its name
if (args is ["--list"])
{
    foreach (FuzzTarget listed in FuzzTarget.All)
    {
        Console.WriteLine(listed.Name);
    }

    return 0;
}

if (args is ["--seeds", string folder])
{
    foreach (FuzzTarget seeded in FuzzTarget.All)
    {
        string path = Directory.CreateDirectory(Path.Combine(folder, seeded.Name)).FullName;
        int number = 0;
        foreach (byte[] seed in seeded.Seeds())
        {
            File.WriteAllBytes(Path.Combine(path, $"seed-{number++:D3}"), seed);
        }
    }

    return 0;
}

FuzzTarget? target = args.Length == 0 ? null : FuzzTarget.All.FirstOrDefault(target => target.Name == args[0]);
if (target is null)
{
    Console.Error.WriteLine($"usage: Chat.Fuzz TARGET [FILE...] | --list | --seeds FOLDER; targets: {string.Join(' ', FuzzTarget.All.Select(known => known.Name))}");
    return 2;
}

if (args.Length > 1)
{
    foreach (string file in args.AsSpan(1))
    {
        Console.WriteLine(file);
        target.Run(File.ReadAllBytes(file));
    }

    return 0;
}

byte[] buffer = new byte[2 + FuzzInput.DataBytesMax];
Fuzzer.Run((Stream stream) => target.Run(buffer.AsMemory(0, stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false))));
return 0;
