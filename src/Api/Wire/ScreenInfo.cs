namespace Ryokan.Api.Wire;

/// <summary>Where a domain's screen can be looked at by VNC.</summary>
/// <param name="Address">IP address of the host</param>
/// <param name="Port">TCP port</param>
/// <param name="Display">VNC's number: port less 5900</param>
/// <param name="NeedsPassword">viewers are asked for one</param>
public sealed record ScreenInfo(string Address, int Port, int Display, bool NeedsPassword);
