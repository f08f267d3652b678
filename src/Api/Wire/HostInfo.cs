namespace Ryokan.Api.Wire;

/// <summary>GET /v1/host: the machine and the monitor.</summary>
public sealed record HostInfo
{
    public required string Host { get; init; }
    public required string Release { get; init; }
    public required string Version { get; init; }
    public required string Machine { get; init; }
    public required int Cpus { get; init; }
    public required double CpuMHz { get; init; }
    public required long TotalMemoryMiB { get; init; }
    public required long FreeMemoryMiB { get; init; }
    public required string MonitorVersion { get; init; }
    public required int DaemonProcessId { get; init; }
    public required int Domains { get; init; }
}
