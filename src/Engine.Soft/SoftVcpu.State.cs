using System;

namespace Ryokan.Engine.Soft;

/// <summary>Floating-point, vector and mask registers for C# code.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private const int ControlWordReset = 0x37f, MxcsrReset = 0x1f80, MxcsrAt = 24, XmmAt = 160;

    public int XsaveSize => HostState.ImageBytes;

    public void ReadXsave(Span<byte> destination)
    {
        byte* image = _area + VcpuArea.Xsave;
        if (_hasX87)
        {
            ((delegate* unmanaged<byte*, void>)_engine.Routines.SaveX87)(_area);
        }
        *(uint*)(image + MxcsrAt) = _head->GuestMxcsr_;
        destination[..XsaveSize].Clear();
        new ReadOnlySpan<byte>(image, HostState.LegacyBytes).CopyTo(destination);
        destination[HostState.LegacyBytes] = (byte)HostState.Xcr0;
        for (int n = 0; n < 16; n++)
        {
            ReadOnlySpan<byte> zmm = new(_area + VcpuArea.Zmm(n), 64);
            zmm[..16].CopyTo(destination[(XmmAt + n * 16)..]);
            zmm[16..32].CopyTo(destination[(HostState.Offset(HostState.Avx) + n * 16)..]);
        }
        if (!HostState.HasAvx512 || _head->Sleeping_ != 0)
        {
            return;
        }
        for (int n = 0; n < 16; n++)
        {
            if (_head->UpperHalves_ != 0)
            {
                new ReadOnlySpan<byte>(_area + VcpuArea.Zmm(n) + 32, 32).CopyTo(destination[(HostState.Offset(HostState.UpperZmm) + n * 32)..]);
            }
            new ReadOnlySpan<byte>(_area + VcpuArea.Zmm(16 + n), 64).CopyTo(destination[(HostState.Offset(HostState.HighZmm) + n * 64)..]);
        }
        new ReadOnlySpan<byte>(_area + VcpuArea.Opmask(0), 64).CopyTo(destination[HostState.Offset(HostState.Opmask)..]);
    }

    public void WriteXsave(ReadOnlySpan<byte> source)
    {
        byte* image = _area + VcpuArea.Xsave;
        source[..HostState.LegacyBytes].CopyTo(new Span<byte>(image, HostState.LegacyBytes));
        _head->GuestMxcsr_ = *(uint*)(image + MxcsrAt) & 0xffff;
        *(uint*)(image + MxcsrAt) = _head->GuestMxcsr_;
        new Span<byte>(_area + VcpuArea.Zmm(0), 32 * 64 + 8 * 8).Clear();
        for (int n = 0; n < 16; n++)
        {
            source.Slice(XmmAt + n * 16, 16).CopyTo(new Span<byte>(_area + VcpuArea.Zmm(n), 16));
            Part(source, HostState.Avx, n * 16, new Span<byte>(_area + VcpuArea.Zmm(n) + 16, 16));
            if (HostState.HasAvx512)
            {
                Part(source, HostState.UpperZmm, n * 32, new Span<byte>(_area + VcpuArea.Zmm(n) + 32, 32));
                Part(source, HostState.HighZmm, n * 64, new Span<byte>(_area + VcpuArea.Zmm(16 + n), 64));
            }
        }
        if (HostState.HasAvx512)
        {
            Part(source, HostState.Opmask, 0, new Span<byte>(_area + VcpuArea.Opmask(0), 64));
            _head->Sleeping_ = 0;
            _head->UpperHalves_ = _head->BeyondAvx_ = 1;
        }
        _head->WideVectors_ = 1;
        _hasX87 = false; // loaded at the next Run, on the vCPU's own thread
    }

    /// <summary>Part of a state component, which is all zero when the image's header says so.</summary>
    private static void Part(ReadOnlySpan<byte> image, int component, int at, Span<byte> destination)
    {
        if ((image[HostState.LegacyBytes] >> component & 1) != 0)
        {
            image.Slice(HostState.Offset(component) + at, destination.Length).CopyTo(destination);
        }
    }

    /// <summary>Where translated code begins that looks by itself whether state beyond AVX is awake: lets it sleep if it is all zero.</summary>
    private void LetSleep()
    {
        if (_head->BeyondAvx_ == 0)
        {
            _head->Sleeping_ = 1;
        }
    }

    /// <summary>Makes the vCPU block right about all of zmm0-31 and k0-7.</summary>
    private void Wake()
    {
        bool wasAsleep = _head->Sleeping_ != 0;
        if (wasAsleep)
        {
            new Span<byte>(_area + VcpuArea.Zmm(16), 16 * 64 + 8 * 8).Clear();
        }
        if (wasAsleep || _head->UpperHalves_ == 0)
        {
            for (int n = 0; n < 16; n++)
            {
                new Span<byte>(_area + VcpuArea.Zmm(n) + 32, 32).Clear();
            }
        }
        _head->Sleeping_ = 0;
        _head->WideVectors_ = _head->UpperHalves_ = _head->BeyondAvx_ = 1;
    }

    /// <summary>The 32 bytes of ymm n, of the first 16, for instructions before AVX-512.</summary>
    internal Span<byte> Vector(int n)
    {
        _head->WideVectors_ = 1;
        return new(_area + VcpuArea.Zmm(n), 32);
    }

    /// <summary>What every VEX instruction does to the vector register that it writes: bits from 256 on are zero.</summary>
    internal void ClearAbove256(int n) => new Span<byte>(_area + VcpuArea.Zmm(n) + 32, 32).Clear();

    /// <summary>The 64 bytes of zmm n.</summary>
    internal Span<byte> WideVector(int n)
    {
        Wake();
        return new(_area + VcpuArea.Zmm(n), 64);
    }

    internal ref ulong Opmask(int n)
    {
        Wake();
        return ref *(ulong*)(_area + VcpuArea.Opmask(n));
    }

    /// <summary>An unmasked x87 exception waits for the next x87 or MMX instruction (FSW.ES); on the vCPU's own thread only.</summary>
    internal bool HasX87Error
    {
        get
        {
            ((delegate* unmanaged<byte*, void>)_engine.Routines.SaveX87)(_area);
            return (*(ushort*)(_area + VcpuArea.Xsave + 2) & 0x80) != 0;
        }
    }

    /// <summary>The 8 bytes of mm n; on the vCPU's own thread only.</summary>
    internal void ReadMmx(int n, Span<byte> destination)
    {
        ((delegate* unmanaged<byte*, void>)_engine.Routines.SaveX87)(_area);
        byte* image = _area + VcpuArea.Xsave;
        int top = *(ushort*)(image + 2) >> 11 & 7; // mm n is physical register n, the image begins with ST(0)
        new ReadOnlySpan<byte>(image + 32 + ((n - top) & 7) * 16, 8).CopyTo(destination);
    }

    /// <summary>What every MMX instruction does to x87 state: TOP = 0, all tags valid.</summary>
    internal void EnterMmx() => ((delegate* unmanaged<void>)_engine.Routines.EnterMmx)();
}
