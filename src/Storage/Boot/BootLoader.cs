using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Ryokan.Linux.Interop.Ext;

namespace Ryokan.Storage.Boot;

/// <summary>What to look for; null: what the disk itself says.</summary>
/// <param name="Kernel">path of the kernel in its file system</param>
/// <param name="Ramdisk">path of the initial ramdisk</param>
/// <param name="Entry">number, title or id of GRUB's menu entry</param>
/// <param name="MaxRamdiskBytes">larger ones are refused</param>
public sealed record BootRequest(string? Kernel, string? Ramdisk, string? Entry, ulong MaxRamdiskBytes);

/// <summary>What a disk boots.</summary>
/// <param name="Source">where it comes from, for messages: "partition 1, /boot/vmlinuz-6.1.0"</param>
/// <param name="Kernel">contents of the kernel's file</param>
/// <param name="Ramdisk">contents of the ramdisk; null when there is none</param>
/// <param name="Arguments">for the kernel, as the disk has them</param>
/// <param name="RootArgument">"root=UUID=.. ro": the file system the kernel was found in, for a command line
/// that names
/// no root; null when that is not a root file system</param>
public sealed record BootFiles(
    string Source, byte[] Kernel, byte[]? Ramdisk, string Arguments, string? RootArgument);

/// <summary>
/// Takes the kernel that a disk boots out of it, as pygrub does: what grub.cfg says, or the newest
/// /boot/vmlinuz-*.
/// Nothing is mounted, run or changed.
/// </summary>
public static class BootLoader
{
    private const ulong MaxKernelBytes = 256 << 20, MaxTextBytes = 4 << 20;

    private static readonly string[] s_grubFolders = ["/boot/grub", "/grub", "/boot/grub2", "/grub2"];

    /// <summary>Finds and reads the files.</summary>
    /// <exception cref="BootException">there is nothing to boot</exception>
    /// <exception cref="DiskException">the image cannot be read</exception>
    public static BootFiles Read(IDisk disk, BootRequest request)
    {
        DiskException? failure = null;
        List<string> seen = [];
        foreach (DiskPart part in PartitionTable.Read(disk))
        {
            if (ExtSuperblock.Read(disk, part) is not { } superblock)
            {
                continue;
            }
            seen.Add(part.Name);
            try
            {
                using ExtFileSystem files = ExtFileSystem.Open(Reader, part.Length);
                if (Choose(files, request) is { } choice)
                {
                    return Load(files, part, superblock, choice, request);
                }
            }
            catch (ExtException e)
            {
                throw failure ?? (Exception)new BootException($"{part.Name}: {e.Message}");
            }

            bool Reader(ulong offset, Span<byte> destination)
            {
                try
                {
                    disk.Read(part.Offset + offset, destination);
                    return true;
                }
                catch (DiskException e)
                {
                    failure = e;
                    return false;
                }
            }
        }
        throw new BootException(seen.Count == 0
            ? "no ext2, ext3 or ext4 file system found (others are not read)"
            : $"no kernel found in {string.Join(", ", seen)}: {Wanted(request)}");
    }

    private static string Wanted(BootRequest request) => request switch
    {
        { Kernel: { } kernel } => $"there is no {kernel}",
        { Entry: { } entry } => $"there is no grub.cfg with an entry '{entry}'",
        _ => "there is neither a grub.cfg with an entry nor a /boot/vmlinuz-*",
    };

    private sealed record Choice(string Kernel, IReadOnlyList<string> Ramdisks, string Arguments);

    private static Choice? Choose(ExtFileSystem files, BootRequest request)
    {
        if (request.Kernel is { } kernel)
        {
            string folder = FolderOf(kernel);
            return Names(files, folder).Contains(kernel[(kernel.LastIndexOf('/') + 1)..])
                ? new Choice(kernel, Ramdisks(files, request, kernel), "") : null;
        }
        GrubEntry? entry = s_grubFolders.Select(folder => FromGrub(files, folder, request.Entry))
            .FirstOrDefault(e => e != null);
        if (entry != null)
        {
            return new Choice(
                entry.Kernel, request.Ramdisk is { } given ? [given] : entry.Ramdisks, entry.Arguments);
        }
        return request.Entry == null && Newest(files) is { } newest
            ? new Choice(newest, Ramdisks(files, request, newest), "") : null;
    }

    private static string FolderOf(string path) => path.LastIndexOf('/') is var at and > 0 ? path[..at] : "/";

    private static HashSet<string> Names(ExtFileSystem files, string folder) => [.. files.List(folder)];

    private static GrubEntry? FromGrub(ExtFileSystem files, string folder, string? wanted)
    {
        if (files.ReadFile($"{folder}/grub.cfg", MaxTextBytes) is not { } bytes)
        {
            return null;
        }
        GrubMenu menu = new(Encoding.UTF8.GetString(bytes));
        if (wanted != null)
        {
            return menu.Find(wanted);
        }
        string? saved = menu.UsesSavedEntry ? SavedEntry(files, folder) : null;
        return menu.Default(saved);
    }

    /// <summary>grubenv holds lines NAME=VALUE behind one of comment.</summary>
    private static string? SavedEntry(ExtFileSystem files, string folder)
    {
        const string Key = "saved_entry=";
        return files.ReadFile($"{folder}/grubenv", MaxTextBytes) is not { } bytes ? null
            : Encoding.UTF8.GetString(bytes).Split('\n')
                .Where(line => line.StartsWith(Key, StringComparison.Ordinal))
                .Select(line => line[Key.Length..]).LastOrDefault(value => value.Length > 0);
    }

    /// <summary>In /boot, or at the top of a file system that is /boot itself.</summary>
    private static string? Newest(ExtFileSystem files)
    {
        foreach (string folder in (ReadOnlySpan<string>)["/boot", "/"])
        {
            string? newest = files.List(folder)
                .Where(n => n.StartsWith("vmlinuz-", StringComparison.Ordinal) && !IsLeftover(n))
                .Order(Comparer<string>.Create(KernelVersion.Compare)).LastOrDefault();
            if (newest != null)
            {
                return folder == "/" ? "/" + newest : $"{folder}/{newest}";
            }
        }
        return null;
    }

    /// <summary>Rescue kernels, backups, and what dpkg and rpm are in the middle of.</summary>
    private static bool IsLeftover(string name) =>
        name.Contains("rescue", StringComparison.Ordinal) || name.Contains(".dpkg-", StringComparison.Ordinal)
        || name.Contains(".rpm", StringComparison.Ordinal) || name.EndsWith(".old", StringComparison.Ordinal)
        || name.EndsWith(".bak", StringComparison.Ordinal) || name.EndsWith('~');

    /// <summary>The ramdisk that belongs to a kernel, by the names that distributions use.</summary>
    private static string[] Ramdisks(ExtFileSystem files, BootRequest request, string kernel)
    {
        if (request.Ramdisk is { } given)
        {
            return [given];
        }
        string folder = FolderOf(kernel), name = kernel[(kernel.LastIndexOf('/') + 1)..];
        string version = name.StartsWith("vmlinuz-", StringComparison.Ordinal)
            ? name["vmlinuz-".Length..] : name;
        HashSet<string> names = Names(files, folder);
        string? found = new[] { $"initrd.img-{version}", $"initramfs-{version}.img", $"initrd-{version}" }
            .FirstOrDefault(names.Contains);
        return found == null ? [] : [folder == "/" ? "/" + found : $"{folder}/{found}"];
    }

    private static BootFiles Load(
        ExtFileSystem files, DiskPart part, ExtSuperblock superblock, Choice choice, BootRequest request)
    {
        byte[] kernel = files.ReadFile(choice.Kernel, MaxKernelBytes)
            ?? throw new BootException($"{part.Name}: there is no {choice.Kernel}");
        MemoryStream ramdisk = new();
        foreach (string path in choice.Ramdisks)
        {
            ramdisk.Write(files.ReadFile(path, request.MaxRamdiskBytes - (ulong)ramdisk.Length)
                ?? throw new BootException($"{part.Name}: there is no {path}"));
        }
        bool isRoot = choice.Kernel.StartsWith("/boot/", StringComparison.Ordinal);
        return new BootFiles($"{part.Name}, {choice.Kernel}", kernel,
            ramdisk.Length == 0 ? null : ramdisk.ToArray(),
            choice.Arguments, isRoot ? $"root=UUID={superblock.Uuid:D} ro" : null);
    }
}
