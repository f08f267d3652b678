using System;
using Ryokan.Api.Guests;

namespace Ryokan.Api.Wire;

/// <summary>Why a domain stopped.</summary>
public enum EndReason
{
    Poweroff, Reboot, Suspend, Crash, Watchdog, SoftReset,

    /// <summary>Ended by its owner.</summary>
    Destroyed,

    /// <summary>Its process ended without saying why.</summary>
    Lost,
}

/// <summary>How a domain ended and what followed.</summary>
public sealed record DomainEnd
{
    public required int Id { get; init; }
    public required string Name { get; init; }
    public required EndReason Reason { get; init; }
    public required DateTimeOffset At { get; init; }

    /// <summary>One line: what the guest did, when it crashed.</summary>
    public string? Summary { get; init; }

    /// <summary>Several lines for a person, when it crashed: registers, last console lines.</summary>
    public string? Report { get; init; }

    /// <summary>What was done about it.</summary>
    public ShutdownAction Action { get; init; }

    /// <summary>Id of the domain that took its place, after a restart.</summary>
    public int? Successor { get; init; }

    /// <summary>Why there is no successor although there should be one.</summary>
    public string? RestartFailure { get; init; }
}
