using System;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Events;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// Writes struct vcpu_time_info into every vCPU's vcpu_info and registered second area, and the wall clock
/// into shared_info (xen/xen.h). While a record is written its version is odd.
/// </summary>
internal sealed class TimeAreas
{
    private const int WallClockOffset = 3072;
    private const int VersionSize = sizeof(uint);

    /// <summary>A step of the host's wall clock below this is not worth telling.</summary>
    private static readonly TimeSpan s_wallClockTolerance = TimeSpan.FromMilliseconds(1);

    private readonly GuestFrames _frames;
    private readonly VcpuInfoTable _vcpuInfo;
    private readonly byte _flags;
    private readonly GuestArea _wallClock;
    private readonly GuestArea?[] _secondary;
    private readonly Lock _lock = new();
    private uint _version;
    private DateTimeOffset _wallClockAtZero;

    public TimeAreas(GuestFrames frames, ulong sharedInfoMfn, VcpuInfoTable vcpuInfo, bool tscStable)
    {
        _frames = frames;
        _vcpuInfo = vcpuInfo;
        _flags = tscStable ? PvclockFlags.TscStableBit : (byte)0;
        _wallClock = GuestArea.At(frames, frames.IndexOf(sharedInfoMfn), WallClockOffset);
        _secondary = new GuestArea?[vcpuInfo.VcpuCount];
    }

    public void SetSecondary(int vcpu, GuestArea? area, ClockLine line)
    {
        lock (_lock)
        {
            _secondary[vcpu] = area;
            Write(vcpu, line);
        }
    }

    /// <summary>All vCPUs, one right after the other: they must agree.</summary>
    public void WriteAll(ClockLine line)
    {
        lock (_lock)
        {
            for (int i = 0; i < _secondary.Length; i++)
            {
                Write(i, line);
            }
        }
    }

    public void WriteOne(int vcpu, ClockLine line)
    {
        lock (_lock)
        {
            Write(vcpu, line);
        }
    }

    private void Write(int vcpu, ClockLine line)
    {
        // One counter for all records: a copy of a record into another place then never meets its version.
        VcpuTimeInfo record = new()
        {
            Version = _version += 2,
            TscTimestamp = line.Tsc,
            SystemTime = line.Nanoseconds,
            TscToSystemMul = line.Mul,
            TscShift = line.Shift,
            Flags = _flags,
        };
        (long index, int offset) = _vcpuInfo.Place(vcpu);
        Write(GuestArea.At(_frames, index, offset + VcpuInfoTable.TimeOffset), ref record);
        if (_secondary[vcpu] is { } area)
        {
            Write(area, ref record);
        }
    }

    private static void Write<T>(GuestArea area, ref T record)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref record));
        uint version = MemoryMarshal.Read<uint>(bytes);
        Span<byte> odd = stackalloc byte[VersionSize];
        MemoryMarshal.Write(odd, version - 1);
        area.Write(0, odd);
        area.Write(VersionSize, bytes[VersionSize..]);
        area.Write(0, bytes[..VersionSize]);
    }

    /// <summary>UTC at system time 0; written when it changed.</summary>
    public void WriteWallClock(DateTimeOffset now, ulong systemTime)
    {
        DateTimeOffset zero = now - TimeSpan.FromTicks((long)(systemTime / 100));
        lock (_lock)
        {
            if ((zero - _wallClockAtZero).Duration() < s_wallClockTolerance)
            {
                return;
            }
            _wallClockAtZero = zero;
            TimeSpan since1970 = zero - DateTimeOffset.UnixEpoch;
            long seconds = since1970.Ticks / TimeSpan.TicksPerSecond;
            WallClock record = new()
            {
                Version = _version += 2,
                Seconds = (uint)seconds,
                Nanoseconds = (uint)(since1970.Ticks % TimeSpan.TicksPerSecond * 100),
                SecondsHigh = (uint)(seconds >> 32),
            };
            Write(_wallClock, ref record);
        }
    }

    /// <summary>wc_version, wc_sec, wc_nsec, wc_sec_hi of struct shared_info.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WallClock
    {
        public uint Version, Seconds, Nanoseconds, SecondsHigh;
    }
}
