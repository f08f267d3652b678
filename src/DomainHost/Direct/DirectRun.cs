using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.DomainHost.Console;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop.Terminal;

namespace Ryokan.DomainHost.Direct;

/// <summary>
/// Runs one guest in the foreground, its console on stdin and stdout: no daemon, no sockets, no files. On a
/// terminal Ctrl-] ends the guest.
/// </summary>
internal sealed class DirectRun : IConsoleListener
{
    /// <summary>Exit statuses: clean end; the guest crashed; it was ended from outside.</summary>
    private const int Clean = 0, Crashed = 2, Ended = 3;

    private const byte Escape = 0x1d;

    private readonly Stream _output = System.Console.OpenStandardOutput();

    public static int Run(GuestSpec spec)
    {
        ConsoleHub hub = new();
        DirectRun run = new();
        hub.Attach(run, withHistory: false);
        using RunningGuest guest = RunningGuest.Create(
            spec, hub, line => System.Console.Error.WriteLine($"Ryokan.DomainHost: {line}"));
        using RawTerminal? terminal = RawTerminal.Enter(0);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        guest.Domain.Start();
        new Thread(() => ReadInput(guest, terminal != null)) { IsBackground = true, Name = "input" }.Start();
        ShutdownReason reason = guest.Domain.WaitForShutdown(Timeout.InfiniteTimeSpan)!.Value;
        guest.Console.Dispose();
        terminal?.Dispose();
        return Report(guest.Domain, reason);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            guest.Domain.Destroy();
        }
    }

    private static int Report(Domain domain, ShutdownReason reason)
    {
        switch (reason)
        {
            case ShutdownReason.Poweroff or ShutdownReason.Reboot:
                return Clean;
            case ShutdownReason.Destroyed:
                System.Console.Error.WriteLine("guest ended from outside");
                return Ended;
            default:
                System.Console.Error.WriteLine($"guest stopped: {reason}");
                if (domain.Crash is { } crash)
                {
                    System.Console.Error.WriteLine($"vCPU {crash.VcpuId}: {crash.Reason}");
                    System.Console.Error.WriteLine(crash.Details);
                }
                return Crashed;
        }
    }

    private static void ReadInput(RunningGuest guest, bool isTerminal)
    {
        using Stream input = System.Console.OpenStandardInput();
        byte[] buffer = new byte[1024];
        for (int n; (n = input.Read(buffer)) > 0;)
        {
            int escape = isTerminal ? buffer.AsSpan(0, n).IndexOf(Escape) : -1;
            guest.Console.Input(buffer.AsSpan(0, escape < 0 ? n : escape));
            if (escape >= 0)
            {
                guest.Domain.Destroy();
                return;
            }
        }
    }

    public void Output(ReadOnlySpan<byte> text)
    {
        try
        {
            _output.Write(text);
            _output.Flush();
        }
        catch (IOException)
        {
            // Nobody reads any more; the guest goes on.
        }
    }
}
