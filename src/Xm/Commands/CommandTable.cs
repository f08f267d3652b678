using System.Collections.Generic;

namespace Ryokan.Xm.Commands;

/// <summary>All subcommands, in the order of the help text.</summary>
internal static class CommandTable
{
    public static readonly IReadOnlyList<Command> All =
    [
        new("create", "[-c] [-p] [-q] [-V] FILE.cfg [key=val ...]", "Create a domain from a description",
            CreateCommand.Run),
        new("list", "[-l] [DOMAIN ...]", "List domains", ListCommands.List),
        new("console", "DOMAIN", "Attach to a domain's console; Ctrl-] leaves", ConsoleCommand.Run),
        new("shutdown", "[-w] DOMAIN | -a", "Ask a domain (or all) to power off; -w waits",
            LifeCycleCommands.Shutdown),
        new("reboot", "[-w] DOMAIN | -a", "Ask a domain (or all) to reboot; -w waits",
            LifeCycleCommands.Reboot),
        new("destroy", "DOMAIN", "End a domain at once", LifeCycleCommands.Destroy),
        new("pause", "DOMAIN", "Pause a domain", LifeCycleCommands.Pause),
        new("unpause", "DOMAIN", "Let a paused domain go on", LifeCycleCommands.Unpause),
        new("dmesg", "[-c]", "Show what happened to domains, crash reports included; -c clears",
            HostCommands.Messages),
        new("info", "", "Show facts about the host", HostCommands.Info),
        new("sysrq", "DOMAIN LETTER", "Send a magic SysRq letter to a domain", LifeCycleCommands.Sysrq),
        new("vcpu-list", "[DOMAIN ...]", "List the vCPUs of domains", ListCommands.Vcpus),
        new("vcpu-set", "[-i] DOMAIN COUNT", "Ask a domain to have that many vCPUs online",
            SettingsCommands.VcpuSet),
        new("vcpu-pin", "DOMAIN VCPU|all CPUS [SOFT]", "Say on which host CPUs vCPUs may run",
            SettingsCommands.VcpuPin),
        new("mem-set", "DOMAIN SIZE", "Ask a domain to balloon to that size (MiB, or with b, k, m, g, t)",
            SettingsCommands.MemorySet),
        new("mem-max", "DOMAIN SIZE", "Limit the memory of a domain", SettingsCommands.MemoryMax),
        new("sched-credit", "[-d DOMAIN [-w WEIGHT] [-c CAP]]", "Show or set CPU weight and cap (percent)",
            SettingsCommands.SchedCredit),
        new("block-attach", "DOMAIN DISK", "Add a disk; DISK as in xl.cfg: PATH,FORMAT,VDEV,ACCESS",
            DiskCommands.Attach),
        new("block-detach", "[--force] DOMAIN VDEV", "Take a disk away when the guest has let go of it",
            DiskCommands.Detach),
        new("block-list", "[-l] DOMAIN ...", "List the disks of domains; -l shows images and sizes",
            DiskCommands.List),
        new("block-resize", "DOMAIN VDEV [SIZE]",
            "Make a disk larger (bytes, or with k, m, g, t); without SIZE see how large it is now",
            DiskCommands.Resize),
        new("cd-insert", "DOMAIN VDEV PATH [raw|qcow2]", "Put a medium into a CD drive", DiskCommands.Insert),
        new("cd-eject", "DOMAIN VDEV", "Take the medium out of a CD drive", DiskCommands.Eject),
        new("network-attach", "DOMAIN [KEY=VALUE ...]", "Add a network interface; keys as in xl.cfg's vif",
            NetworkCommands.Attach),
        new("network-detach", "[--force] DOMAIN DEVID|MAC", "Take a network interface away",
            NetworkCommands.Detach),
        new("network-list", "[-l] DOMAIN ...", "List the network interfaces of domains; -l counts what went through",
            NetworkCommands.List),
        new("vncviewer", "[--autopass] DOMAIN", "Say where a domain's screen is, for any VNC viewer",
            ScreenCommands.Viewer),
        new("uptime", "[DOMAIN ...]", "Show how long domains have been running", ListCommands.Uptime),
        new("domid", "NAME", "Show the id of a named domain", ListCommands.Id),
        new("domname", "ID", "Show the name of a domain", ListCommands.Name),
        new("image", ImageCommands.Usage, "Build a root disk of Debian; list, remove built ones", ImageCommands.Run),
        new("help", "[COMMAND]", "Show this help", HelpCommand.Run),
    ];

    public static Command? Find(string name)
    {
        foreach (Command command in All)
        {
            if (command.Name == name)
            {
                return command;
            }
        }
        return null;
    }
}
