using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Ryokan.Api;
using Ryokan.HostDaemon.Domains;
using Ryokan.HostDaemon.Rest;
using Ryokan.Linux.Interop;

namespace Ryokan.HostDaemon;

/// <summary>
/// ryokand: one per user and host. Knows the domains, supervises them, serves REST on a unix socket.
/// </summary>
internal static class Program
{
    /// <summary>Requests that still wait when the daemon stops are dropped after this.</summary>
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(1);

    private static async Task<int> Main(string[] arguments)
    {
        if (arguments is ["--version"])
        {
            Console.WriteLine($"ryokand {typeof(Program).Assembly.GetName().Version?.ToString(3)}");
            return 0;
        }
        if (arguments.Length != 0)
        {
            Console.Error.WriteLine(
                $"ryokand: unknown argument '{arguments[0]}'; it takes none but --version");
            return 1;
        }
        Places places = Places.ForThisUser();
        if (places.DaemonSocket.Length > Places.MaxSocketPath - 20)
        {
            Console.Error.WriteLine(
                $"ryokand: {places.Runtime}: too long for unix sockets; set RYOKAN_RUNTIME_DIR");
            return 1;
        }
        try
        {
            places.Create();
            using FileStream? single = TakeLock(places.DaemonLock);
            if (single == null)
            {
                Console.Error.WriteLine($"ryokand: another one serves {places.Runtime} already");
                return 1;
            }
            return await Serve(places);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ryokand: {e.Message}");
            return 1;
        }
    }

    /// <summary>Only one daemon serves a run-time directory; the lock goes with its process.</summary>
    private static FileStream? TakeLock(string path)
    {
        try
        {
            FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            file.SetLength(0);
            file.Write(System.Text.Encoding.ASCII.GetBytes($"{Environment.ProcessId}\n"));
            file.Flush();
            return file;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task<int> Serve(Places places)
    {
        using TranslationKeeper translations = new(places);
        DomainRegistry registry = new(places, translations);
        registry.Rediscover();
        File.Delete(places.DaemonSocket);
        // An empty builder: no configuration files, no logging, no TLS, and so a start in some ten
        // milliseconds.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore()
            .ConfigureKestrel(options => options.ListenUnixSocket(places.DaemonSocket));
        builder.WebHost.UseShutdownTimeout(StopTimeout);
        builder.Services.AddRoutingCore();
        await using WebApplication app = builder.Build();
        app.UseRouting();
        new Endpoints(registry, app.Lifetime.ApplicationStopping).Map(app);
        await app.StartAsync();
        // Who started us waits for this line.
        Console.WriteLine("ready");
        DetachedProcess.DropOutput();
        await WaitForSignal();
        await app.StopAsync();
        File.Delete(places.DaemonSocket);
        return 0;
    }

    private static async Task WaitForSignal()
    {
        TaskCompletionSource stop = new();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle);
        await stop.Task;

        void Handle(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.TrySetResult();
        }
    }
}
