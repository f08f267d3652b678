using System;
using System.Collections.Generic;
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

    /// <summary>File of translations that all of the user's domains share; null: each translates for itself.</summary>
    public string? TranslationStore { get; init; }

    /// <summary>File for what this one had to translate; null with the store.</summary>
    public string? TranslationJournal { get; init; }

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

    /// <summary>Lists or changes disks, as <see cref="ControlRequest.Disk"/> says.</summary>
    Disk,

    /// <summary>Lists or changes network interfaces, as <see cref="ControlRequest.Network"/> says.</summary>
    Network,

    /// <summary>
    /// Lines for the host's message log; answered when there are any after the number in the argument, which
    /// also says that those up to it are safe.
    /// </summary>
    Messages,
}

/// <param name="Protocol">must be <see cref="DomainSpec.CurrentProtocol"/></param>
/// <param name="Operation">what is asked</param>
/// <param name="Argument">the letter of sysrq, the name of rename, the number of messages</param>
/// <param name="Settings">of set</param>
/// <param name="Disk">of disk</param>
/// <param name="Network">of network</param>
public sealed record ControlRequest(
    int Protocol, ControlOperation Operation, string? Argument = null, DomainSettings? Settings = null,
    DiskRequest? Disk = null, NetworkRequest? Network = null);

/// <summary>The answer, one JSON object per line.</summary>
/// <param name="Problem">set when it was refused</param>
/// <param name="Info">answer to info</param>
/// <param name="End">answer to wait</param>
/// <param name="Note">answer to set: what was done differently than asked</param>
/// <param name="Disks">answer to disk: those that it is about</param>
/// <param name="Messages">answer to messages</param>
/// <param name="Interfaces">answer to network: those that it is about</param>
public sealed record ControlReply(
    Problem? Problem = null, DomainInfo? Info = null, DomainEnd? End = null, string? Note = null,
    IReadOnlyList<DiskInfo>? Disks = null, IReadOnlyList<DomainMessage>? Messages = null,
    IReadOnlyList<InterfaceInfo>? Interfaces = null);

/// <summary>A line of a domain's for the host's message log.</summary>
/// <param name="Number">counts from 1</param>
/// <param name="Text">one line, without the domain's name</param>
public sealed record DomainMessage(long Number, string Text);

/// <summary>The one line that a domain process writes to its stdout when it is built, or cannot be.</summary>
/// <param name="Error">why not; null when it runs</param>
public sealed record StartReport(string? Error);
