using System;
using System.Collections.Frozen;
using System.Collections.Generic;

namespace Ryokan.Api.Guests;

/// <summary>The keys of a guest description.</summary>
public static class XlKeys
{
    /// <summary>Those that have an effect here.</summary>
    public static readonly FrozenSet<string> Served = Words(
        "name type kernel ramdisk cmdline root extra memory maxmem vcpus maxvcpus"
        + " on_poweroff on_reboot on_crash uuid disk vif cpus cpu_weight cap"
        + " bootloader bootloader_args cloudinit"
        + " vfb vnc vnclisten vncdisplay vncunused vncpasswd sdl opengl keymap");

    /// <summary>
    /// Those that xl knows (xl.cfg(5) of Xen 4.17 to 4.20 and the keys its parser takes without documenting
    /// them) and that are not served yet: they are warned about by name and otherwise ignored.
    /// </summary>
    public static readonly FrozenSet<string> KnownToXl = Words("""
        acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m altp2mhvm apic arm_sci bios
        bios_path_override blkdev_start boot bootloader_restrict bootloader_user
        builder channel cpu cpuid cpus_soft device_model device_model_args
        device_model_args_hvm device_model_args_pv device_model_override device_model_stubdomain_override
        device_model_stubdomain_seclabel device_model_user device_model_version device_tree dm_restrict
        driver_domain dtdev e820_host firmware firmware_override gfx_passthru gic_version guest_os_type hap
        hdtype hpet init_seclabel iomem ioports irqs llc_colors localtime max_event_channels
        max_grant_frames max_grant_version max_maptrack_frames mca_caps mmio_hole ms_vm_genid msr_relaxed
        nestedhvm nodes nographic nomigrate nr_spis nx on_soft_reset on_watchdog oos p9 pae
        passthrough pci pci_msitranslate pci_permissive pci_power_mgmt pci_seize pool pvcalls pvshim
        pvshim_cmdline pvshim_extra pvshim_path rdm rdm_mem_boundary rtc_timeoffset seclabel serial
        shadow_memory smbios smbios_firmware soundhw spice spice_clipboard_sharing spice_image_compression
        spice_streaming_video spiceagent_mouse spicedisable_ticketing spicehost spicepasswd spiceport
        spicetls_port spiceusbredirection spicevdagent static_shm stdvga stubdomain_cmdline
        stubdomain_kernel stubdomain_memory stubdomain_ramdisk sve tee timer_mode trap_unmapped_accesses
        tsc_mode usb usbctrl usbdev usbdevice usbversion vcpuaffinity vdispl vga vif2 videoram
        virtio viridian vkb vkb_device vmtrace_buf_kb vncconsole vncviewer vnuma vpmu vpt_align vsnd vtpm vuart xauthority xen_platform_pci
        xend_suspend_evtchn_compat xenstore_feature_mask
        """);

    private static FrozenSet<string> Words(string words) =>
        words.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries)
            .ToFrozenSet(StringComparer.Ordinal);

    /// <summary>The known key that looks most like a mistyped one, or null.</summary>
    public static string? Nearest(string key)
    {
        string? nearest = null;
        int best = Math.Min(3, key.Length / 2 + 1);
        foreach (FrozenSet<string> set in (IEnumerable<FrozenSet<string>>)[Served, KnownToXl])
        {
            foreach (string candidate in set)
            {
                int distance = Distance(key, candidate);
                if (distance < best)
                {
                    (best, nearest) = (distance, candidate);
                }
            }
        }
        return nearest;
    }

    /// <summary>Levenshtein distance.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++)
        {
            row[j] = j;
        }
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }
        return row[b.Length];
    }
}
