using System;

namespace Ryokan.Engine.Soft;

/// <summary>What other threads may ask of a vCPU; done before it enters translated code again.</summary>
[Flags]
internal enum VcpuRequest
{
    None = 0,

    /// <summary><see cref="IVcpu.Kick"/>: leave to the monitor.</summary>
    Exit = 1,
    FlushAll = 2,

    /// <summary>Drop all write entries of the soft TLB.</summary>
    FlushWrites = 4,

    /// <summary>Drop the jump caches.</summary>
    FlushJumps = 8,
}
