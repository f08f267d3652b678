using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>
/// Hypercall arguments in guest virtual memory. Each is read once into a local, the copy is checked and
/// used. False: -EFAULT.
/// </summary>
internal sealed partial class Vcpu
{
    public bool TryCopyIn<T>(ulong va, out T value)
        where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        return Cpu.TryRead(va, MemoryMarshal.AsBytes(new Span<T>(ref value)), out _);
    }

    public bool TryCopyOut<T>(ulong va, in T value)
        where T : unmanaged =>
        Cpu.TryWrite(va, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)), out _);
}
