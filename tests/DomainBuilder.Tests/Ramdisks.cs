using System;
using System.Text;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>Small cpio archives.</summary>
internal static class Ramdisks
{
    /// <summary>Where the trailer of <see cref="Plain"/> begins: after a header, "init\0", padding, 1000 bytes.</summary>
    public const int TrailerAt = 110 + 5 + 1 + 1000;

    /// <summary>An archive of exactly <paramref name="bytes"/> bytes: one file, the trailer, zeros.</summary>
    public static byte[] Plain(int bytes)
    {
        byte[] archive = new byte[bytes];
        int at = Entry(archive, 0, "init", 1000);
        for (int i = 0; i < 1000; i++)
        {
            archive[at - 1000 + i] = (byte)('a' + i % 26);
        }
        Entry(archive, at, "TRAILER!!!", 0);
        return archive;
    }

    private static int Entry(byte[] archive, int at, string name, int fileBytes)
    {
        string header =
            $"070701{1:x8}{0x81a4:x8}{0:x8}{0:x8}{1:x8}{0:x8}{fileBytes:x8}{0:x8}{0:x8}{0:x8}{0:x8}"
            + $"{name.Length + 1:x8}{0:x8}{name}\0";
        Encoding.ASCII.GetBytes(header).CopyTo(archive, at);
        return ((at + header.Length + 3) & ~3) + ((fileBytes + 3) & ~3);
    }
}
