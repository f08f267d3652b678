using System;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// What one vCPU did with its time (xen/vcpu.h, struct vcpu_runstate_info), and the guest's copy of it.
/// Any thread.
/// </summary>
internal sealed class RunstateAccount
{
    private const int EntryTimeOffset = 8;
    private const int FlagOffset = EntryTimeOffset + 7;
    private const byte FlagInTopByte = (byte)(RunstateFlags.Update >> 56);

    private readonly Lock _lock = new();
    private VcpuRunstateInfo _info = new() { State = Runstate.Offline };
    private GuestArea? _area;

    /// <summary>
    /// Enters a state at that system time; the time since the last change goes to the old state.
    /// </summary>
    public void Enter(int state, ulong now, bool useFlag)
    {
        lock (_lock)
        {
            if (now > _info.StateEntryTime)
            {
                _info.Time[_info.State] += now - _info.StateEntryTime;
                _info.StateEntryTime = now;
            }
            _info.State = state;
            WriteCopy(useFlag);
        }
    }

    public void SetArea(GuestArea? area, bool useFlag)
    {
        lock (_lock)
        {
            _area = area;
            WriteCopy(useFlag);
        }
    }

    /// <summary>The account up to now.</summary>
    public VcpuRunstateInfo Snapshot(ulong now)
    {
        lock (_lock)
        {
            VcpuRunstateInfo result = _info;
            if (now > result.StateEntryTime)
            {
                result.Time[result.State] += now - result.StateEntryTime;
                result.StateEntryTime = now;
            }
            return result;
        }
    }

    /// <summary>
    /// With the flag (vm_assist runstate_update_flag) the guest can tell a half-written copy.
    /// </summary>
    private void WriteCopy(bool useFlag)
    {
        if (_area is not { } area)
        {
            return;
        }
        VcpuRunstateInfo copy = _info;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<VcpuRunstateInfo>(ref copy));
        if (!useFlag)
        {
            area.Write(0, bytes);
            return;
        }
        byte top = bytes[FlagOffset];
        bytes[FlagOffset] |= FlagInTopByte;
        area.Write(FlagOffset, bytes.Slice(FlagOffset, 1));
        area.Write(0, bytes);
        bytes[FlagOffset] = top;
        area.Write(FlagOffset, bytes.Slice(FlagOffset, 1));
    }
}
