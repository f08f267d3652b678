using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Ryokan.Storage;

namespace Ryokan.Images;

/// <summary>
/// Makes a root disk of a whole Debian: mmdebstrap makes the tree, mke2fs a file system of it without
/// mounting, and
/// both work for an ordinary user, in a user namespace. The disk has one partition, the root.
/// </summary>
public sealed class ImageBuilder(ImageStore store, Action<string> progress)
{
    private const ulong Sector = 512, PartitionOffset = 1 << 20;

    /// <summary>What a server that one can log in to needs beyond the required packages.</summary>
    private static readonly string[] s_packages =
    [
        "systemd-sysv", "dbus", "udev", "kmod", "systemd-resolved", "systemd-timesyncd", "openssh-server",
        "iproute2",
        "iputils-ping", "netbase", "ca-certificates", "procps", "less", "nano", "e2fsprogs", "zstd",
        "initramfs-tools", "linux-image-cloud-amd64",
    ];

    /// <summary>Builds the image.</summary>
    /// <returns>its path</returns>
    /// <exception cref="ImageException">it cannot be made; nothing is left but a log</exception>
    public string Build(ImageRequest request)
    {
        CheckTools();
        string target = store.PathOf(request.Name, request.Format);
        if (store.List().Any(image => image.Name == request.Name))
        {
            throw new ImageException(
                $"there is an image '{request.Name}' already: remove it with 'xm image rm {request.Name}'");
        }
        IReadOnlyList<string> sources = request.Mirror is { } mirror
            ? [$"deb {mirror} {request.Release} main", $"deb {mirror} {request.Release}-updates main"]
            : AptSources.For(request.Release);
        Directory.CreateDirectory(store.Folder);
        DirectoryInfo work = Directory.CreateTempSubdirectory("ryokan-image-");
        string log = Path.Combine(store.Folder, request.Name + ".log");
        try
        {
            using (StreamWriter writer = File.CreateText(log))
            {
                Make(request, sources, work.FullName, target, writer);
            }
            File.Delete(log);
            return target;
        }
        catch (ImageException e)
        {
            throw new ImageException($"{e.Message} ({log} has all of it)");
        }
        catch (Exception e) when (e is DiskException or IOException or UnauthorizedAccessException)
        {
            throw new ImageException(e.Message);
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }

    private static void CheckTools()
    {
        (string Program, string Package)[] tools =
            [("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"), ("tar", "tar"),
                ("unshare", "util-linux")];
        if (!Environment.IsPrivilegedProcess)
        {
            // Maps the user's range of subordinate ids (/etc/subuid).
            tools = [.. tools, ("newuidmap", "uidmap")];
        }
        string[] missing = [.. tools.Where(t => !HostProgram.Exists(t.Program)).Select(t => t.Package)];
        if (missing.Length > 0)
        {
            throw new ImageException(
                "missing Debian packages; as root: apt-get install --no-install-recommends "
                + string.Join(' ', missing));
        }
    }

    private void Make(
        ImageRequest request, IReadOnlyList<string> sources, string work, string target, TextWriter log)
    {
        string tree = Path.Combine(work, "tree.tar"), files = Path.Combine(work, "files.tar");
        string raw = Path.Combine(work, "root.img");
        Guid uuid = Guid.NewGuid();
        // What unpacks runs as another user where namespaces are used.
        File.SetUnixFileMode(work, (UnixFileMode)0b111_101_101);
        SystemFiles.Write(files, request, uuid);
        HostProgram.RunLogged("mmdebstrap",
        [
            $"--mode={(Environment.IsPrivilegedProcess ? "root" : "unshare")}", "--variant=minbase",
            "--format=tar",
            $"--include={string.Join(',', s_packages.Concat(request.Packages).Distinct())}",
            "--aptopt=Acquire::Languages \"none\"",
            // Root has no password: it comes in by ssh key, or on the console.
            "--customize-hook=chroot \"$1\" passwd -d root",
            "--customize-hook=rm -f \"$1\"/etc/ssh/ssh_host_*_key*",
            // Lines, not a file of them: those it writes to the guest's sources.list.
            request.Release, tree, .. sources,
        ], log, progress);
        progress("making the root file system");
        MakeFileSystem(request, work, (tree, files, raw), uuid, log);
        progress($"writing {target}");
        WriteImage(raw, request, target);
    }

    /// <summary>
    /// Unpacks the tree, owners and all, and has mke2fs copy it: as root, or as the root of a user namespace.
    /// </summary>
    private void MakeFileSystem(ImageRequest request, string work,
        (string Tree, string Files, string Raw) paths, Guid uuid, TextWriter log)
    {
        const string Script = """
            set -eu
            umask 022
            mkdir "$1/tree"
            trap 'rm -rf "$1/tree"' EXIT
            tar -C "$1/tree" --numeric-owner --exclude='./dev/*' -xpf "$2"
            tar -C "$1/tree" --numeric-owner -xpf "$3"
            mke2fs -q -t ext4 -F -d "$1/tree" -U "$5" -L root -E "lazy_itable_init=1" "$4" "$6k"
            """;
        ulong kibibytes = (request.SizeBytes - PartitionOffset) / 1024;
        string[] command =
            ["sh", "-c", Script, "sh", work, paths.Tree, paths.Files, paths.Raw, $"{uuid}", $"{kibibytes}"];
        if (Environment.IsPrivilegedProcess)
        {
            HostProgram.RunLogged(command[0], command[1..], log, progress);
        }
        else
        {
            HostProgram.RunLogged("unshare",
                ["--user", "--map-root-user", "--map-auto", "--", .. command], log, progress);
        }
    }

    /// <summary>Puts a partition table in front of the file system; only what holds data is
    /// written.</summary>
    private static void WriteImage(string raw, ImageRequest request, string target)
    {
        string unfinished = target + ".new";
        File.Delete(unfinished);
        try
        {
            DiskImages.Create(unfinished, request.Format, request.SizeBytes);
            using (IDisk disk = DiskImages.Open(unfinished, request.Format, readOnly: false))
            {
                disk.Write(0, PartitionSector(request.SizeBytes));
                DiskImages.CopyData(raw, disk, PartitionOffset);
                disk.Flush();
            }
            File.Move(unfinished, target);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    /// <summary>A master boot record with one Linux partition that fills the disk.</summary>
    private static byte[] PartitionSector(ulong diskBytes)
    {
        const int EntryAt = 446;
        const byte LinuxType = 0x83;
        byte[] sector = new byte[Sector];
        sector[EntryAt + 4] = LinuxType;
        BinaryPrimitives.WriteUInt32LittleEndian(
            sector.AsSpan(EntryAt + 8), (uint)(PartitionOffset / Sector));
        ulong sectors = ulong.Min((diskBytes - PartitionOffset) / Sector, uint.MaxValue);
        BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(EntryAt + 12), (uint)sectors);
        (sector[510], sector[511]) = (0x55, 0xaa);
        return sector;
    }
}
