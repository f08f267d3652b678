using System;
using System.IO;
using System.Linq;

namespace Ryokan.Api.Guests;

public sealed partial class GuestConfigReader
{
    /// <summary>The key "bootloader"; null when it is not set.</summary>
    private BootloaderConfig? Bootloader()
    {
        if (Text("bootloader") is not { } program)
        {
            return null;
        }
        if (Path.GetFileName(program) != "pygrub")
        {
            throw Bad("bootloader", $"'{XlConfigParser.Shown(program)}' is not served; 'pygrub' is");
        }
        foreach (string key in (ReadOnlySpan<string>)["kernel", "ramdisk"])
        {
            if (Text(key) != null)
            {
                throw Bad(key, "set together with bootloader, which takes it out of the guest's disk; drop one");
            }
        }
        if (!Disks().Any(d => !d.IsCdRom))
        {
            throw Bad("bootloader", "the guest has no disk to boot from");
        }
        try
        {
            return BootloaderConfig.Parse(Texts("bootloader_args").SelectMany(
                t => t.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        }
        catch (FormatException e)
        {
            throw Bad("bootloader_args", e.Message);
        }
    }

    private GuestConfigException NoKernel() => new(
        $"{_file}: kernel: not set; a 'pv' guest needs the path of its kernel, or bootloader = \"pygrub\"");
}
