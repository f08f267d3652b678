using System;
using System.IO;

namespace Ryokan.Api;

/// <summary>
/// Where things are: system places for root, places of their own for everybody else. RYOKAN_RUNTIME_DIR and
/// RYOKAN_STATE_DIR override them (tests, several independent sets on one machine).
/// </summary>
public sealed record Places(string Runtime, string State)
{
    /// <summary>Longest path a unix socket can have (unix(7): sun_path), less the NUL.</summary>
    public const int MaxSocketPath = 107;

    public static Places ForThisUser()
    {
        bool root = Environment.IsPrivilegedProcess;
        string state = Chosen("RYOKAN_STATE_DIR") ?? (root ? "/var/lib/ryokan"
            : Path.Combine(Chosen("XDG_STATE_HOME") ?? Path.Combine(Home, ".local/state"), "ryokan"));
        // Without a session there is no XDG_RUNTIME_DIR; /tmp would be a place that others can prepare.
        string runtime = Chosen("RYOKAN_RUNTIME_DIR") ?? (root ? "/run/ryokan"
            : Chosen("XDG_RUNTIME_DIR") is { } session ? Path.Combine(session, "ryokan")
            : Path.Combine(state, "run"));
        return new Places(runtime, state);
    }

    private static string Home => Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);

    private static string? Chosen(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? Path.GetFullPath(value)
            : null;

    public string DaemonSocket => Path.Combine(Runtime, "ryokand.sock");
    public string DaemonLock => Path.Combine(Runtime, "ryokand.lock");
    public string Domains => Path.Combine(Runtime, "domains");
    public string Ended => Path.Combine(Runtime, "ended");
    public string NextDomainId => Path.Combine(Runtime, "next-domid");
    public string DaemonLog => Path.Combine(State, "ryokand.log");
    /// <summary>Images that "xm image build" made.</summary>
    public string Images => Path.Combine(State, "images");

    /// <summary>
    /// Translations of guest code that outlive their domain; RYOKAN_TRANSLATIONS names another folder, or is "off". Null:
    /// none.
    /// </summary>
    public string? Translations => Environment.GetEnvironmentVariable("RYOKAN_TRANSLATIONS") switch
    {
        "off" => null,
        { Length: > 0 } folder => Path.GetFullPath(folder),
        _ => Path.Combine(State, "translations"),
    };

    public string Messages => Path.Combine(State, "messages.log");

    /// <summary>Everything that belongs to one running domain.</summary>
    public string Domain(int id) => Path.Combine(Domains, FormattableString.Invariant($"{id}"));

    public string ConsoleLog(string name) => Path.Combine(State, $"guest-{name}.log");

    /// <summary>Makes the directories, for this user only.</summary>
    public void Create()
    {
        const UnixFileMode ownerOnly =
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        foreach (string directory in (ReadOnlySpan<string>)[Runtime, State, Domains, Ended])
        {
            Directory.CreateDirectory(directory, ownerOnly);
        }
    }
}

/// <summary>The files in a domain's run-time directory.</summary>
public static class DomainFiles
{
    /// <summary>A <see cref="Control.DomainSpec"/>.</summary>
    public const string Spec = "spec.json";

    /// <summary>Answers <see cref="Control.ControlRequest"/>s.</summary>
    public const string ControlSocket = "control.sock";

    /// <summary>The console: one line of greeting from the client, then bytes both ways.</summary>
    public const string ConsoleSocket = "console.sock";

    /// <summary>The domain's xenstore, for xenstore-ls and its like (XENSTORED_PATH).</summary>
    public const string StoreSocket = "xenstore.sock";

    /// <summary>Written when the guest has stopped: a <see cref="Wire.DomainEnd"/>.</summary>
    public const string End = "end.json";

    /// <summary>Names the cgroup that was made for the domain's process, if any.</summary>
    public const string Cgroup = "cgroup";

    /// <summary>What the domain's process said on stderr.</summary>
    public const string Errors = "stderr.log";
}
