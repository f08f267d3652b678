using Ryokan.Api.Guests;

namespace Ryokan.Api.Wire;

/// <summary>POST /v1/domains.</summary>
public sealed record CreateRequest(GuestConfig Config, bool Paused);

/// <summary>What POST /v1/domains/{domain}/actions can ask for.</summary>
public enum DomainAction
{
    Pause, Unpause, Shutdown, Reboot, Sysrq,
}

/// <summary>POST /v1/domains/{domain}/actions.</summary>
/// <param name="Action">what to do</param>
/// <param name="Key">the letter, for sysrq</param>
public sealed record ActionRequest(DomainAction Action, string? Key = null);

/// <summary>
/// A refused request (RFC 9457, application/problem+json). <see cref="Code"/> is stable; <see cref="Detail"/>
/// is one line for a person.
/// </summary>
public sealed record Problem(int Status, string Code, string Detail);

/// <summary>The stable codes of <see cref="Problem"/>.</summary>
public static class ProblemCodes
{
    public const string BadRequest = "bad-request";
    public const string NoSuchDomain = "no-such-domain";
    public const string NameInUse = "name-in-use";
    public const string BuildFailed = "build-failed";
    public const string WrongState = "wrong-state";
    public const string NotSupportedByGuest = "not-supported-by-guest";
    public const string NotPermitted = "not-permitted";
    public const string NoSuchDevice = "no-such-device";
    public const string DeviceInUse = "device-in-use";
    public const string InterfaceRefused = "interface-refused";
    public const string DiskRefused = "disk-refused";
    public const string DomainUnreachable = "domain-unreachable";
    public const string Internal = "internal";
}
