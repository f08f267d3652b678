using System;
using System.Collections.Generic;
using System.Formats.Tar;
using System.IO;
using System.Linq;
using System.Text;

namespace Ryokan.Images;

/// <summary>
/// The files that make a Debian tree a guest of its own, as a tar archive with root as owner: host name,
/// root file
/// system, network by DHCP, authorized keys.
/// </summary>
internal static class SystemFiles
{
    private const UnixFileMode FileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private const UnixFileMode PrivateFolder =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public static void Write(string path, ImageRequest request, Guid rootUuid)
    {
        using FileStream file = File.Create(path);
        using TarWriter tar = new(file, TarEntryFormat.Pax);
        Add(tar, "etc/hostname", request.HostName + "\n");
        Add(tar, "etc/hosts", $"""
            127.0.0.1 localhost
            127.0.1.1 {request.HostName}
            ::1       localhost ip6-localhost ip6-loopback
            ff02::1   ip6-allnodes
            ff02::2   ip6-allrouters

            """);
        Add(tar, "etc/fstab", $"UUID={rootUuid} / ext4 defaults,errors=remount-ro 0 1\n");
        Add(tar, "etc/systemd/network/80-dhcp.network", """
            [Match]
            Type=ether

            [Network]
            DHCP=yes

            """);
        // Made anew at the first start, so that copies of an image differ.
        Add(tar, "etc/machine-id", "uninitialized\n");
        Link(tar, "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/lib/systemd/system/systemd-networkd.service");
        Link(tar, "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        Add(tar, "etc/systemd/system/ssh-host-keys.service", """
            [Unit]
            Description=Make this machine's own ssh host keys
            ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
            Before=ssh.service

            [Service]
            Type=oneshot
            ExecStart=/usr/bin/ssh-keygen -A

            [Install]
            WantedBy=multi-user.target

            """);
        Link(tar, "etc/systemd/system/multi-user.target.wants/ssh-host-keys.service",
            "/etc/systemd/system/ssh-host-keys.service");
        if (request.SshKeys.Count > 0)
        {
            tar.WriteEntry(new PaxTarEntry(TarEntryType.Directory, "root/.ssh") { Mode = PrivateFolder });
            Add(tar, "root/.ssh/authorized_keys", string.Concat(request.SshKeys.Select(k => k + "\n")),
                PrivateFile);
        }
    }

    private static void Add(TarWriter tar, string name, string text, UnixFileMode mode = FileMode) =>
        tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name)
        {
            Mode = mode,
            DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)),
        });

    private static void Link(TarWriter tar, string name, string target) =>
        tar.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, name) { LinkName = target });
}
