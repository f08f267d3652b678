using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm network-attach, network-detach, network-list.</summary>
internal static class NetworkCommands
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static async Task<int> Attach(CommandContext context)
    {
        context.Parse(1, int.MaxValue);
        VifConfig vif;
        List<string> warnings = [];
        try
        {
            vif = VifSpecification.Parse(
                string.Join(',', context.Words.GetRange(1, context.Words.Count - 1)), warnings);
        }
        catch (FormatException e)
        {
            throw context.Wrong(e.Message);
        }
        foreach (string warning in warnings)
        {
            System.Console.Error.WriteLine($"xm: warning: {warning}");
        }
        using DaemonClient daemon = await context.Connect();
        await daemon.AttachInterface(context.Words[0], vif);
        return 0;
    }

    public static async Task<int> Detach(CommandContext context)
    {
        context.Parse(2, 2, "--force", "-f");
        using DaemonClient daemon = await context.Connect();
        await daemon.DetachInterface(
            context.Words[0], context.Words[1], context.Has("--force") || context.Has("-f"));
        return 0;
    }

    public static async Task<int> List(CommandContext context)
    {
        context.Parse(1, int.MaxValue, "-l", "--long");
        using DaemonClient daemon = await context.Connect();
        bool isLong = context.Has("-l") || context.Has("--long");
        if (!isLong)
        {
            System.Console.WriteLine($"{"Idx",-3} {"BE",-2} {"Mac Addr.",-17} {"handle",-6} {"state",-5}"
                + $" {"evt-ch",-6} {"tx-",5}/{"rx-ring-ref",-5} {"BE-path",-30}".TrimEnd());
        }
        foreach (string domain in context.Words)
        {
            foreach (InterfaceInfo vif in await daemon.Interfaces(domain))
            {
                System.Console.WriteLine(isLong ? Describe(vif) : Row(vif));
            }
        }
        return 0;
    }

    private static string Row(InterfaceInfo i)
    {
        string device = string.Create(Invariant, $"{i.DeviceId,-3} {0,-2} {i.Mac}{i.DeviceId,6} {i.State,5}");
        string rings = string.Create(Invariant,
            $"{Number(i.EventChannel),6} {Number(i.TxRingReference),5}/{Number(i.RxRingReference),-11}");
        return $"{device} {rings} {i.BackendPath}";
    }

    private static long Number(uint? value) => value ?? -1L;

    private static string Describe(InterfaceInfo i)
    {
        string where = i.Bridge == null ? "user-mode network" : $"{i.HostInterface} on bridge {i.Bridge}";
        string bound = i.Addresses.Count == 0 ? "" : $", kept to {string.Join(' ', i.Addresses)}";
        return string.Create(Invariant, $"vif {i.DeviceId}: {i.Mac}, {where}{bound}\n")
            + string.Create(Invariant,
                $"  sent {i.SentPackets} frames, {i.SentBytes} bytes, {i.SentDropped} dropped\n")
            + string.Create(Invariant,
                $"  received {i.ReceivedPackets} frames, {i.ReceivedBytes} bytes, {i.ReceivedDropped} dropped");
    }
}
