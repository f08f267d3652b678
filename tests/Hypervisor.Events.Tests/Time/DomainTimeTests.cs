using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Events;
using Ryokan.Linux.Interop;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Time.Tests;

/// <summary>
/// Records, timers and accounts on the host's real clocks; the TSC is made from CLOCK_MONOTONIC.
/// </summary>
public sealed class DomainTimeTests : IDisposable
{
    private const double TicksPerNanosecond = 2.9;
    private const int Millisecond = 1_000_000;

    private readonly GuestFrames _frames = new(32, 8);
    private readonly ulong _sharedInfo;
    private readonly VcpuInfoTable _vcpuInfo;
    private readonly DomainTime _time;
    private readonly BlockingCollection<(int Vcpu, ulong At)> _fired = [];

    private static ulong Tsc() => (ulong)(Futex.MonotonicNanoseconds() * TicksPerNanosecond);

    public DomainTimeTests()
    {
        _sharedInfo = _frames.AllocateSpecial()!.Value;
        _vcpuInfo = new VcpuInfoTable(_frames, _sharedInfo, 2);
        _time = new DomainTime(
            _frames, _sharedInfo, _vcpuInfo, new HostClock(Tsc), tscStable: true,
            vcpu => _fired.Add((vcpu, _time!.Now())));
    }

    public void Dispose()
    {
        _time.Dispose();
        _frames.Dispose();
        _fired.Dispose();
    }

    /// <summary>The guest's reading of a record: pvclock with its version protocol.</summary>
    private ulong GuestTime(Span<byte> record)
    {
        while (true)
        {
            uint version = Volatile.Read(ref MemoryMarshal.AsRef<uint>(record));
            VcpuTimeInfo info = MemoryMarshal.Read<VcpuTimeInfo>(record);
            Interlocked.MemoryBarrier();
            ulong delta = Tsc() - info.TscTimestamp;
            if ((version & 1) == 0 && Volatile.Read(ref MemoryMarshal.AsRef<uint>(record)) == version)
            {
                delta = info.TscShift >= 0 ? delta << info.TscShift : delta >> -info.TscShift;
                ulong high = Math.BigMul(delta, info.TscToSystemMul, out ulong low);
                return info.SystemTime + (high << 32 | low >> 32);
            }
        }
    }

    private Span<byte> Record(int vcpu)
    {
        (long index, int offset) = _vcpuInfo.Place(vcpu);
        return _frames.SpanAt(index).Slice(offset + VcpuInfoTable.TimeOffset, 32);
    }

    [Fact]
    public void The_records_of_all_vcpus_agree_and_are_stable()
    {
        Assert.True(Record(0)[4..].SequenceEqual(Record(1)[4..]));
        VcpuTimeInfo info = MemoryMarshal.Read<VcpuTimeInfo>(Record(0));
        Assert.Equal(PvclockFlags.TscStableBit, info.Flags);
        Assert.Equal(0u, info.Version & 1);
        Assert.Equal(TicksPerNanosecond * 1e6, _time.Line.TscKhz, 1e3);
        ulong host = _time.Now();
        ulong guest = GuestTime(Record(1));
        Assert.InRange(guest - host, 0ul, 50ul * Millisecond);
    }

    [Fact]
    public void The_wall_clock_is_utc_at_system_time_zero()
    {
        Span<byte> page = _frames.SpanAt(_frames.IndexOf(_sharedInfo));
        SharedInfo shared = MemoryMarshal.Read<SharedInfo>(page);
        Assert.Equal(0u, shared.WcVersion & 1);
        DateTimeOffset utc = DateTimeOffset.UnixEpoch
            + TimeSpan.FromSeconds(shared.WcSec + ((ulong)shared.WcSecHi << 32))
            + TimeSpan.FromTicks(shared.WcNsec / 100)
            + TimeSpan.FromTicks((long)_time.Now() / 100);
        Assert.True((utc - DateTimeOffset.UtcNow).Duration() < TimeSpan.FromMilliseconds(20));
    }

    [Fact]
    public void A_registered_area_and_a_moved_vcpu_info_get_the_record()
    {
        // Bytes 4080..4095 of frame 3 and 0..15 of frame 9.
        GuestArea? area = GuestArea.At(
            _frames, 0x1000ff0, 32, va => va >> 12 == 0x1000 ? 0x3ff0ul : 0x9000ul);
        _time.SetTimeArea(0, area);
        byte[] copy = [.. _frames.SpanAt(3)[4080..], .. _frames.SpanAt(9)[..16]];
        Assert.True(copy.AsSpan(4).SequenceEqual(Record(0)[4..]));
        Assert.Equal(0, copy[0] & 1);

        Assert.Equal(0, _vcpuInfo.Move(1, 17, 64));
        Assert.InRange(GuestTime(_frames.SpanAt(17).Slice(96, 32)), 1ul, _time.Now() + 50 * Millisecond);
    }

    [Fact]
    public void An_area_outside_the_domain_is_refused()
    {
        Assert.Null(GuestArea.At(_frames, 0x1000, 32, _ => null));
        Assert.Null(GuestArea.At(_frames, 0x1000, 32, _ => 1UL << 44));
        Assert.Null(GuestArea.At(_frames, 0x1ff0, 32, va => va == 0x1ff0 ? 0x2ff0ul : null));
        Assert.NotNull(GuestArea.At(_frames, 0x1fe0, 32, va => va == 0x1fe0 ? 0x2fe0ul : null));
    }

    [Fact]
    public void A_singleshot_fires_once_not_early_and_soon()
    {
        long[] late = new long[20];
        for (int i = 0; i < late.Length; i++)
        {
            ulong deadline = _time.Now() + 3 * Millisecond;
            _time.SetSingleshot(1, deadline);
            Assert.True(_fired.TryTake(out (int Vcpu, ulong At) shot, 5000));
            Assert.Equal(1, shot.Vcpu);
            Assert.True(shot.At >= deadline);
            late[i] = (long)(shot.At - deadline);
        }
        Assert.False(_fired.TryTake(out _, 20));
        Array.Sort(late);
        // The median, as the machine may be busy with other tests.
        Assert.True(late[late.Length / 2] < Millisecond, $"median {late[late.Length / 2]} ns late");
    }

    [Fact]
    public void A_time_that_has_passed_fires_at_once()
    {
        _time.SetSingleshot(0, 0);
        Assert.True(_fired.TryTake(out _));
        _time.SetSingleshot(0, 1);
        Assert.True(_fired.TryTake(out _));
    }

    [Fact]
    public void A_stopped_or_far_timer_does_not_fire()
    {
        _time.SetSingleshot(0, _time.Now() + 5 * Millisecond);
        _time.StopSingleshot(0);
        _time.SetSingleshot(1, ulong.MaxValue);
        Assert.False(_fired.TryTake(out _, 30));
        Assert.True(_time.HostDeadline(0) == long.MaxValue);
    }

    [Fact]
    public void An_earlier_deadline_replaces_a_later_one()
    {
        _time.SetSingleshot(0, _time.Now() + 5_000ul * Millisecond);
        Stopwatch watch = Stopwatch.StartNew();
        _time.SetSingleshot(1, _time.Now() + 2 * Millisecond);
        Assert.True(_fired.TryTake(out (int Vcpu, ulong At) shot, 4000));
        Assert.Equal(1, shot.Vcpu);
        Assert.True(watch.ElapsedMilliseconds < 2000);
    }

    [Fact]
    public void While_a_vcpu_waits_its_own_thread_fires_the_timer()
    {
        _time.SetSingleshot(0, _time.Now() + 3 * Millisecond);
        long deadline = _time.BeginWait(0);
        Assert.InRange(deadline - Futex.MonotonicNanoseconds(), -3 * Millisecond, 4 * Millisecond);
        Assert.False(_fired.TryTake(out _, 30));
        Assert.True(_time.FireIfDue(0));
        Assert.False(_time.FireIfDue(0));
        Assert.True(_fired.TryTake(out _));
        _time.SetSingleshot(0, _time.Now() + 3 * Millisecond);
        _time.EndWait(0);
        Assert.True(_fired.TryTake(out _, 5000));
    }

    [Fact]
    public void A_periodic_timer_keeps_its_period()
    {
        Assert.Equal(-Errno.EINVAL, _time.SetPeriodic(0, Millisecond - 1));
        Assert.Equal(-Errno.EINVAL, _time.SetPeriodic(0, ulong.MaxValue));
        ulong start = _time.Now();
        Assert.Equal(0, _time.SetPeriodic(0, 4 * Millisecond));
        ulong last = 0;
        for (int i = 0; i < 10; i++)
        {
            Assert.True(_fired.TryTake(out (int Vcpu, ulong At) shot, 5000));
            last = shot.At;
        }
        _time.StopPeriodic(0);
        Assert.True(last - start >= 40ul * Millisecond);
    }

    [Fact]
    public void Runstate_times_add_up_to_system_time()
    {
        GuestArea area = GuestArea.At(_frames, 0x5fe8, 48, va => va)!;
        _time.RunstateUpdateFlag = true;
        _time.SetRunstateArea(0, area);
        _time.EnterRunstate(0, Runstate.Running);
        Thread.Sleep(5);
        _time.EnterRunstate(0, Runstate.Blocked);
        Thread.Sleep(5);
        _time.EnterRunstate(0, Runstate.Running);
        byte[] bytes = [.. _frames.SpanAt(5)[0xfe8..], .. _frames.SpanAt(6)[..24]];
        VcpuRunstateInfo guest = MemoryMarshal.Read<VcpuRunstateInfo>(bytes);
        Assert.Equal(Runstate.Running, guest.State);
        Assert.Equal(0ul, guest.StateEntryTime & RunstateFlags.Update);
        Span<ulong> times = guest.Time;
        Assert.True(times[Runstate.Running] >= 5 * Millisecond && times[Runstate.Blocked] >= 5 * Millisecond);
        Assert.Equal(guest.StateEntryTime, times.ToArray().Aggregate(0ul, (a, b) => a + b));

        VcpuRunstateInfo now = _time.GetRunstate(0);
        Assert.True(now.Time[Runstate.Running] >= guest.Time[Runstate.Running]);
        Assert.Equal(Runstate.Offline, _time.GetRunstate(1).State);
    }

    [Fact]
    public void Guest_time_is_monotonic_on_all_vcpus_while_the_clock_is_corrected()
    {
        Stopwatch watch = Stopwatch.StartNew();
        ulong last = 0;
        long steps = 0;
        while (watch.ElapsedMilliseconds < 2500)
        {
            ulong now = GuestTime(Record((int)(steps++ & 1)));
            Assert.True(now >= last, $"{last - now} ns back");
            last = now;
            if (steps % 1000 == 0)
            {
                _time.EndWait(0);
            }
        }
        VcpuTimeInfo info = MemoryMarshal.Read<VcpuTimeInfo>(Record(0));
        Assert.True(info.SystemTime > 900ul * Millisecond, "the record was replaced");
        Assert.Equal(watch.Elapsed.TotalNanoseconds, last, 0.02 * watch.Elapsed.TotalNanoseconds);
    }
}
