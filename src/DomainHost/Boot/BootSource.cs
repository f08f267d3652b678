using System;
using System.Linq;
using Ryokan.Api.Guests;
using Ryokan.Api.Guests.Disks;
using Ryokan.Storage;
using Ryokan.Storage.Boot;

namespace Ryokan.DomainHost.Boot;

/// <summary>
/// Where a guest's kernel and ramdisk are: files of the host, or what the bootloader took out of the guest's
/// first
/// disk, each time the guest is built, so that a guest that upgraded its kernel boots the new one.
/// </summary>
internal sealed class BootSource : IDisposable
{
    private readonly MemoryFile? _kernelFile, _ramdiskFile;

    /// <summary>Path, as this process can open it while this object lives.</summary>
    public string Kernel { get; }

    /// <inheritdoc cref="Kernel"/>
    public string? Ramdisk { get; }

    public string CommandLine { get; }

    private BootSource(GuestConfig config)
    {
        Kernel = config.Kernel ?? throw new OperatorException("kernel: not set");
        (Ramdisk, CommandLine) = (config.Ramdisk, config.CommandLine);
    }

    private BootSource(BootFiles files, string commandLine)
    {
        _kernelFile = new MemoryFile("kernel", files.Kernel);
        Kernel = _kernelFile.Path;
        CommandLine = commandLine;
        if (files.Ramdisk is { } ramdisk)
        {
            try
            {
                _ramdiskFile = new MemoryFile("ramdisk", ramdisk);
                Ramdisk = _ramdiskFile.Path;
            }
            catch
            {
                _kernelFile.Dispose();
                throw;
            }
        }
    }

    /// <exception cref="OperatorException">nothing to boot is found; one line</exception>
    public static BootSource Find(GuestConfig config) =>
        config.Bootloader is { } bootloader ? FromDisk(config, bootloader) : new BootSource(config);

    private static BootSource FromDisk(GuestConfig config, BootloaderConfig bootloader)
    {
        const int MiB = 20;
        DiskConfig first = config.Disks.FirstOrDefault(d => !d.IsCdRom && d.Path != null)
            ?? throw new OperatorException("bootloader: the guest has no disk to boot from");
        try
        {
            DiskFormat format = first.Format == DiskImageFormat.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw;
            using IDisk disk = DiskImages.Open(first.Path!, format, readOnly: true);
            BootFiles files = BootLoader.Read(disk, new BootRequest(
                bootloader.Kernel, bootloader.Ramdisk, bootloader.Entry, (ulong)config.MemoryMiB << MiB));
            return new BootSource(files, CommandLineOf(files, bootloader, config.CommandLine));
        }
        catch (DiskException e)
        {
            throw new OperatorException($"bootloader: {e.Message}");
        }
        catch (BootException e)
        {
            throw new OperatorException($"bootloader: {first.Path}: {e.Message}");
        }
    }

    /// <summary>
    /// The disk's words, then those of the description, as with pygrub; the root is named by us when nobody
    /// else does.
    /// </summary>
    private static string CommandLineOf(BootFiles files, BootloaderConfig bootloader, string given)
    {
        string words = string.Join(' ', new[] { files.Arguments, bootloader.Arguments, given }
            .Where(w => !string.IsNullOrWhiteSpace(w)));
        bool namesRoot = words.Split(' ').Any(w => w.StartsWith("root=", StringComparison.Ordinal));
        return namesRoot || files.RootArgument == null ? words : $"{files.RootArgument} {words}".TrimEnd();
    }

    public void Dispose()
    {
        _kernelFile?.Dispose();
        _ramdiskFile?.Dispose();
    }
}
