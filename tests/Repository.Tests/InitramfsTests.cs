using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text;
using Xunit;

namespace Ryokan.Repository.Tests;

/// <summary><c>eng/initramfs.sh</c>: the archive holds what the tree held, and is the same each time.</summary>
public sealed class InitramfsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ryokan-initramfs-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void HoldsFilesDirectoriesLinksAndDeviceNodes()
    {
        Dictionary<string, Entry> entries = Read(Make("tree"));

        Assert.Equal(0x41edu, entries["bin"].Mode);
        Assert.Equal(0x81edu, entries["bin/tool"].Mode);
        Assert.Equal("five!", entries["bin/tool"].Text);
        Assert.Equal("", entries["empty"].Text);
        Assert.Equal("a name with spaces", entries["name with spaces"].Text);
        Assert.Equal(0xa1ffu, entries["link"].Mode);
        Assert.Equal("bin/tool", entries["link"].Text);
        Assert.Equal((0x2180u, 5u, 1u), (entries["dev/console"].Mode, entries["dev/console"].Major,
            entries["dev/console"].Minor));
        Assert.Equal((0x21b6u, 1u, 3u), (entries["dev/null"].Mode, entries["dev/null"].Major,
            entries["dev/null"].Minor));
    }

    [Fact]
    public void SameTreeGivesSameBytes() => Assert.Equal(Make("first"), Make("second"));

    private sealed record Entry(uint Mode, uint Major, uint Minor, string Text);

    private byte[] Make(string name)
    {
        string tree = Path.Combine(_directory, name), output = tree + ".cpio";
        Directory.CreateDirectory(Path.Combine(tree, "bin"));
        File.WriteAllText(Path.Combine(tree, "bin/tool"), "five!");
        File.WriteAllText(Path.Combine(tree, "empty"), "");
        File.WriteAllText(Path.Combine(tree, "name with spaces"), "a name with spaces");
        File.CreateSymbolicLink(Path.Combine(tree, "link"), "bin/tool");
        const UnixFileMode executable = (UnixFileMode)0b111_101_101;
        File.SetUnixFileMode(Path.Combine(tree, "bin"), executable);
        File.SetUnixFileMode(Path.Combine(tree, "bin/tool"), executable);

        using Process process = Process.Start(
            Path.Combine(RepositoryRoot.Path, "eng/initramfs.sh"), [tree, output]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return File.ReadAllBytes(output);
    }

    // The "newc" format: a header of 6 + 13 * 8 characters, the name, the data, each padded to 4 bytes.
    private static Dictionary<string, Entry> Read(byte[] archive)
    {
        Dictionary<string, Entry> entries = [];
        for (int at = 0; ;)
        {
            Assert.Equal("070701", Encoding.ASCII.GetString(archive, at, 6));
            uint Field(int index) => uint.Parse(
                Encoding.ASCII.GetString(archive, at + 6 + (8 * index), 8), NumberStyles.HexNumber,
                CultureInfo.InvariantCulture);
            int nameLength = (int)Field(11), size = (int)Field(6), data = Align(at + 110 + nameLength);
            string name = Encoding.UTF8.GetString(archive, at + 110, nameLength - 1);
            if (name == "TRAILER!!!")
            {
                return entries;
            }

            Assert.Equal((0u, 0u, 0u), (Field(2), Field(3), Field(5)));
            entries.Add(name, new Entry(
                Field(1), Field(9), Field(10), Encoding.UTF8.GetString(archive, data, size)));
            at = Align(data + size);
        }
    }

    private static int Align(int offset) => (offset + 3) & ~3;
}
