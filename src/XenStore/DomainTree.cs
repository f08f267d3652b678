using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Ryokan.XenStore.Tree;
using Ryokan.Xen.Abi;

namespace Ryokan.XenStore;

/// <summary>What a domain's nodes say about it. Memory in KiB.</summary>
public sealed record DomainDescription
{
    public required int Domain { get; init; }

    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    /// <summary>Memory that the guest is to balloon to.</summary>
    public required ulong TargetKiB { get; init; }

    public required ulong MaximumKiB { get; init; }

    /// <summary>vCPUs that the guest is to have online.</summary>
    public required int Vcpus { get; init; }

    /// <summary>vCPUs that exist.</summary>
    public required int MaximumVcpus { get; init; }

    public required ulong ConsoleMfn { get; init; }

    public required uint ConsolePort { get; init; }

    public required ulong StoreMfn { get; init; }

    public required uint StorePort { get; init; }

    public DateTimeOffset StartTime { get; init; } = DateTimeOffset.UtcNow;
}

/// <summary>
/// The nodes of a domain as a toolstack makes them: /local/domain/N, /vm/UUID, and the pairs of front-end
/// and back-end directories of its devices.
/// </summary>
public sealed class DomainTree
{
    private const string OpenToGuest = "data,drivers,feature,attr,error";
    private const string ControlOpenToGuest =
        "shutdown,sysrq,feature-suspend,feature-poweroff,feature-reboot";

    private readonly StoreConnection _domain0;
    private readonly int _domain;
    private readonly string _vm;

    /// <summary>/local/domain/N.</summary>
    public string Home { get; }

    private ImmutableArray<StorePermission> ReadOnly =>
        [new StorePermission(0, StoreAccess.None), new StorePermission(_domain, StoreAccess.Read)];

    private ImmutableArray<StorePermission> GuestOwned =>
        [new StorePermission(_domain, StoreAccess.None), new StorePermission(0, StoreAccess.Read)];

    private DomainTree(StoreConnection domain0, DomainDescription description)
    {
        _domain0 = domain0;
        _domain = description.Domain;
        Home = StorePath.OfDomain(_domain);
        _vm = string.Create(CultureInfo.InvariantCulture, $"/vm/{description.Uuid:D}");
    }

    /// <summary>Makes all nodes of a new domain in one step, and introduces it.</summary>
    /// <param name="domain0">a connection of domain 0</param>
    public static DomainTree Create(StoreConnection domain0, DomainDescription description)
    {
        DomainTree tree = new(domain0, description);
        tree.InTransaction(t => tree.Fill(t, description));
        domain0.Store.IntroduceDomain(description.Domain);
        return tree;
    }

    private void Fill(uint t, DomainDescription d)
    {
        Directory(t, Home, ReadOnly);
        Directory(t, _vm, ReadOnly);
        Put(t, Home + "/name", d.Name);
        Put(t, Home + "/domid", Number(_domain));
        Put(t, Home + "/vm", _vm);
        Put(t, Home + "/memory/target", Number(d.TargetKiB));
        Put(t, Home + "/memory/static-max", Number(d.MaximumKiB));
        Put(t, Home + "/memory/videoram", "0");
        Put(t, Home + "/console/ring-ref", Number(d.ConsoleMfn));
        Put(t, Home + "/console/port", Number(d.ConsolePort));
        AddConsoleBackend(t);
        Put(t, Home + "/console/limit", "1048576");
        Put(t, Home + "/console/type", "xenconsoled");
        Put(t, Home + "/console/output", "pty");
        Put(t, Home + "/console/tty", "");
        Put(t, Home + "/store/ring-ref", Number(d.StoreMfn));
        Put(t, Home + "/store/port", Number(d.StorePort));
        for (int i = 0; i < d.MaximumVcpus; i++)
        {
            Put(t, AvailabilityPath(i), i < d.Vcpus ? "online" : "offline");
        }
        Directory(t, Home + "/device", ReadOnly);
        Directory(t, Home + "/device/suspend/event-channel", GuestOwned);
        Directory(t, Home + "/control", ReadOnly);
        foreach (string name in OpenToGuest.Split(','))
        {
            Directory(t, $"{Home}/{name}", GuestOwned);
        }
        foreach (string name in ControlOpenToGuest.Split(','))
        {
            Directory(t, $"{Home}/control/{name}", GuestOwned);
        }
        Put(t, Home + "/control/platform-feature-multiprocessor-suspend", "1");
        Put(t, Home + "/control/platform-feature-xs_reset_watches", "1");
        Put(t, _vm + "/uuid", d.Uuid.ToString("D"));
        Put(t, _vm + "/name", d.Name);
        Put(t, _vm + "/start_time", string.Create(
            CultureInfo.InvariantCulture, $"{d.StartTime.ToUnixTimeMilliseconds() / 1000.0:F2}"));
        Put(t, _vm + "/image/ostype", "linux");
    }

    /// <summary>
    /// The first console is no device of its own directory: its front end is /local/domain/N/console.
    /// </summary>
    private void AddConsoleBackend(uint t)
    {
        string back = BackendPath("console", 0);
        Directory(t, back, ReadOnly);
        Put(t, back + "/frontend", Home + "/console");
        Put(t, back + "/frontend-id", Number(_domain));
        Put(t, back + "/online", "1");
        Put(t, back + "/state", Number(XenbusState.Initialising));
        Put(t, back + "/protocol", "vt100");
        Put(t, Home + "/console/backend", back);
        Put(t, Home + "/console/backend-id", "0");
    }

    /// <summary>
    /// Makes the two directories of a device, both in state 1 (initialising), in one step. The front end's is
    /// the guest's own, the back end's it may read.
    /// </summary>
    /// <param name="type">"vbd", "vif", ...</param>
    /// <param name="frontend">nodes beside backend, backend-id and state</param>
    /// <param name="backend">nodes beside frontend, frontend-id, online and state</param>
    public void AddDevice(
        string type, int id, IEnumerable<KeyValuePair<string, string>> frontend,
        IEnumerable<KeyValuePair<string, string>> backend)
    {
        string front = FrontendPath(type, id);
        string back = BackendPath(type, id);
        string initialising = Number(XenbusState.Initialising);
        InTransaction(t =>
        {
            Directory(t, front, GuestOwned);
            Directory(t, back, ReadOnly);
            Put(t, front + "/backend", back);
            Put(t, front + "/backend-id", "0");
            Put(t, front + "/state", initialising);
            Put(t, back + "/frontend", front);
            Put(t, back + "/frontend-id", Number(_domain));
            Put(t, back + "/online", "1");
            Put(t, back + "/state", initialising);
            foreach ((string name, string value) in frontend)
            {
                Put(t, $"{front}/{name}", value);
            }
            foreach ((string name, string value) in backend)
            {
                Put(t, $"{back}/{name}", value);
            }
        });
    }

    public void RemoveDevice(string type, int id) => InTransaction(t =>
    {
        Must(_domain0.Remove(t, FrontendPath(type, id)), FrontendPath(type, id));
        Must(_domain0.Remove(t, BackendPath(type, id)), BackendPath(type, id));
    });

    public string FrontendPath(string type, int id) =>
        string.Create(CultureInfo.InvariantCulture, $"{Home}/device/{type}/{id}");

    public string BackendPath(string type, int id) =>
        string.Create(CultureInfo.InvariantCulture, $"{StorePath.OfDomain(0)}/backend/{type}/{_domain}/{id}");

    /// <summary>Asks the guest to act: "poweroff", "reboot", "halt", "suspend" (control/shutdown).</summary>
    public void RequestShutdown(string what) => Put(0, Home + "/control/shutdown", what);

    /// <summary>Sends the guest a magic SysRq key (control/sysrq).</summary>
    public void RequestSysrq(char key) => Put(0, Home + "/control/sysrq", key.ToString());

    /// <summary>Says where the guest's screen is shown, as xl vncviewer looks it up; never with a password.</summary>
    /// <param name="address">IP address</param>
    /// <param name="port">TCP port</param>
    public void SetScreen(string address, int port) => InTransaction(t =>
    {
        Put(t, Home + "/console/vnc-listen", address);
        Put(t, Home + "/console/vnc-port", Number(port));
    });

    /// <summary>Asks the guest to balloon to that size.</summary>
    public void SetMemoryTarget(ulong kib) => Put(0, Home + "/memory/target", Number(kib));

    /// <summary>Says how much memory the guest can have at most.</summary>
    public void SetMemoryMaximum(ulong kib) => Put(0, Home + "/memory/static-max", Number(kib));

    /// <summary>Asks the guest to take a vCPU on- or offline.</summary>
    public void SetVcpuAvailability(int vcpu, bool online) =>
        Put(0, AvailabilityPath(vcpu), online ? "online" : "offline");

    private string AvailabilityPath(int vcpu) =>
        string.Create(CultureInfo.InvariantCulture, $"{Home}/cpu/{vcpu}/availability");

    /// <summary>Removes all nodes of the domain, its back ends' too, and releases it.</summary>
    public void Destroy()
    {
        InTransaction(t =>
        {
            foreach (string path in BackendDirectories(t))
            {
                Must(_domain0.Remove(t, path), path);
            }
            Must(_domain0.Remove(t, Home), Home);
            Must(_domain0.Remove(t, _vm), _vm);
        });
        _domain0.Store.ReleaseDomain(_domain);
    }

    private List<string> BackendDirectories(uint t)
    {
        string root = StorePath.OfDomain(0) + "/backend";
        List<string> paths = [];
        if (_domain0.Directory(t, root, out IReadOnlyList<string> types, out _) == StoreError.None)
        {
            foreach (string type in types)
            {
                paths.Add(string.Create(CultureInfo.InvariantCulture, $"{root}/{type}/{_domain}"));
            }
        }
        return paths;
    }

    private void InTransaction(Action<uint> work)
    {
        StoreError error;
        do
        {
            Must(_domain0.StartTransaction(out uint t), "transaction");
            work(t);
            error = _domain0.EndTransaction(t, commit: true);
        }
        while (error == StoreError.EAGAIN);
        Must(error, "transaction");
    }

    private void Directory(uint t, string path, ImmutableArray<StorePermission> permissions)
    {
        Must(_domain0.Mkdir(t, path), path);
        Must(_domain0.SetPermissions(t, path, permissions), path);
    }

    private void Put(uint t, string path, string value) =>
        Must(_domain0.Write(t, path, Encoding.UTF8.GetBytes(value)), path);

    /// <summary>Domain 0 can only be refused for a mistake of ours.</summary>
    private static void Must(StoreError error, string path)
    {
        if (error != StoreError.None)
        {
            throw new InvalidOperationException($"xenstore: {path}: {error}");
        }
    }

    private static string Number<T>(T value)
        where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
}
