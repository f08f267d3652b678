using System;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;

namespace Ryokan.Api.Control;

/// <summary>What a domain process is started with (<see cref="DomainFiles.Spec"/>).</summary>
public sealed record DomainSpec
{
    /// <summary>Version of this record and of the control protocol; a process serves exactly one.</summary>
    public const int CurrentProtocol = 1;

    public int Protocol { get; init; } = CurrentProtocol;
    public required int Id { get; init; }
    public required GuestConfig Config { get; init; }
    public bool Paused { get; init; }

    /// <summary>Path of the console log.</summary>
    public required string ConsoleLog { get; init; }
    public required DateTimeOffset Started { get; init; }

    /// <summary>Crash restarts in quick succession that led to this domain.</summary>
    public int QuickRestarts { get; init; }

    /// <summary>Set when a stopped domain was renamed to make room for its successor.</summary>
    public string? RenamedTo { get; init; }

    public string Name => RenamedTo ?? Config.Name;
}

/// <summary>What a domain process is asked, one JSON object per line on its control socket.</summary>
public enum ControlOperation
{
    Info, Pause, Unpause, Shutdown, Reboot, Sysrq, Destroy,

    /// <summary>Answered when the guest has stopped.</summary>
    Wait,

    /// <summary>A stopped, preserved domain gets another name.</summary>
    Rename,

    /// <summary>Changes what <see cref="ControlRequest.Settings"/> names.</summary>
    Set,
}

/// <param name="Protocol">must be <see cref="DomainSpec.CurrentProtocol"/></param>
/// <param name="Operation">what is asked</param>
/// <param name="Argument">the letter of sysrq, the name of rename</param>
/// <param name="Settings">of set</param>
public sealed record ControlRequest(
    int Protocol, ControlOperation Operation, string? Argument = null, DomainSettings? Settings = null);

/// <summary>The answer, one JSON object per line.</summary>
/// <param name="Problem">set when it was refused</param>
/// <param name="Info">answer to info</param>
/// <param name="End">answer to wait</param>
/// <param name="Note">answer to set: what was done differently than asked</param>
public sealed record ControlReply(
    Problem? Problem = null, DomainInfo? Info = null, DomainEnd? End = null, string? Note = null);

/// <summary>The one line that a domain process writes to its stdout when it is built, or cannot be.</summary>
/// <param name="Error">why not; null when it runs</param>
public sealed record StartReport(string? Error);
