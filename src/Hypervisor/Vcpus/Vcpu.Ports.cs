using System;
using Ryokan.Engine;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>IN, OUT and their string forms. A PV guest has no devices behind ports: reads give all ones.</summary>
internal sealed partial class Vcpu
{
    /// <summary>
    /// PIT channel 2. Linux polls it while it reads ff, 100,000 times; any other constant tells it at once
    /// that there is no timer.
    /// </summary>
    private const ushort PitChannel2 = 0x42;

    /// <summary>Elements of a REP INS/OUTS done in one exit.</summary>
    private const int StringElementsPerExit = 256;

    private const int MaxInstructionLength = 15;

    private bool MayAccessPort(ushort port, int size)
    {
        if (InKernel ? Iopl >= 1 : Iopl == 3)
        {
            return true;
        }
        if (InKernel)
        {
            return false;
        }
        for (uint p = port; p < port + (uint)Math.Max(size, 1); p++)
        {
            if (p >= IoBitmapPorts || !TryCopyIn(IoBitmap + p / 8, out byte bits) || (bits >> (int)(p & 7) & 1) != 0)
            {
                return false;
            }
        }
        return true;
    }

    private static ulong PortValue(ushort port, int size) =>
        port == PitChannel2 ? 0 : size switch { 1 => 0xff, 2 => 0xffff, _ => 0xffffffff };

    private bool EmulatePort(ref VcpuRegisters r, in VcpuExit exit)
    {
        if (!MayAccessPort(exit.Port, exit.Size))
        {
            return false;
        }
        if (exit.Operation == PrivilegedOperation.In)
        {
            ulong value = PortValue(exit.Port, exit.Size);
            ulong rax = r[Gpr.Rax];
            r[Gpr.Rax] = exit.Size switch
            {
                1 => (rax & ~0xffUL) | value,
                2 => (rax & ~0xffffUL) | value,
                _ => value,
            };
        }
        return true;
    }

    /// <summary>INS and OUTS of 64-bit kernel code; the exit says neither REP nor port, so the bytes are looked at.</summary>
    private bool EmulatePortString(ref VcpuRegisters r, in VcpuExit exit)
    {
        var port = (ushort)r[Gpr.Rdx];
        if (!MayAccessPort(port, exit.Size) || !InKernel)
        {
            return false;
        }
        Span<byte> code = stackalloc byte[MaxInstructionLength];
        code = code[..Math.Min((int)exit.Length, MaxInstructionLength)];
        if (!Cpu.TryRead(r.Rip, code, out _))
        {
            return false;
        }
        bool repeat = code.IndexOfAny((byte)0xf2, (byte)0xf3) >= 0;
        Gpr pointer = exit.Operation == PrivilegedOperation.Ins ? Gpr.Rdi : Gpr.Rsi;
        ulong step = (r.Rflags & (ulong)Rflags.DF) != 0 ? 0 - (ulong)exit.Size : exit.Size;
        Span<byte> ones = stackalloc byte[8];
        ones.Fill(0xff);
        for (int done = 0; !repeat || r[Gpr.Rcx] != 0; done++)
        {
            if (done == StringElementsPerExit)
            {
                // Comes back here with what is left of rcx.
                r.Rip -= exit.Length;
                return true;
            }
            if (exit.Operation == PrivilegedOperation.Ins
                && !Cpu.TryWrite(r[pointer], ones[..Math.Clamp((int)exit.Size, 1, 8)], out _))
            {
                return false;
            }
            r[pointer] += step;
            if (!repeat)
            {
                break;
            }
            r[Gpr.Rcx]--;
        }
        return true;
    }
}
