using System;
using System.Text;
using Ryokan.GuestMemory;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>The other hypercalls: results and errors.</summary>
public sealed class GuestCallTests
{
    private const ulong NonCanonical = 0x8000_0000_0000;

    [Fact]
    public void UnknownNumbersAreNotImplemented()
    {
        using TestDomain d = new();
        foreach (ulong number in new ulong[] { 11, 27, 31, 34, 38, 39, 40, 41, 42, 48, 55, 63, 64, ulong.MaxValue })
        {
            Assert.Equal(-Errno.ENOSYS, d.Call(number));
        }
    }

    /// <summary>The version is looked at before the caller.</summary>
    [Theory]
    [InlineData(Hypercall.Domctl, 0x15u)]
    [InlineData(Hypercall.Sysctl, 0x15u)]
    [InlineData(Hypercall.PlatformOp, 0x3000001u)]
    public void WhatTheControlDomainMayDo(ulong number, uint version)
    {
        using TestDomain d = new();
        (uint, uint)[] operations = [(1, version), (1, version + 7)];
        Assert.Equal(-Errno.EFAULT, d.Call(number, TestDomain.BadVa));
        d.Put(TestDomain.ScratchVa, operations[0]);
        Assert.Equal(-Errno.EPERM, d.Call(number, TestDomain.ScratchVa));
        d.Put(TestDomain.ScratchVa, operations[1]);
        Assert.Equal(-Errno.EACCES, d.Call(number, TestDomain.ScratchVa));
        Assert.Equal(-Errno.EPERM, d.Call(Hypercall.KexecOp, 0, TestDomain.BadVa));
    }

    [Fact]
    public void VersionAndFeatures()
    {
        using TestDomain d = new();
        Assert.Equal(0x40011, d.Call(Hypercall.XenVersion, XenVersionOp.Version));
        Assert.Equal(0, d.CallWith(Hypercall.XenVersion, XenVersionOp.GetFeatures, new XenFeatureInfo()));
        Assert.Equal(0x220e0u, d.Get<XenFeatureInfo>(TestDomain.ScratchVa).Submap);
        Assert.Equal(0, d.Call(Hypercall.VmAssist, VmAssistCommand.Enable, VmAssistType.PaeExtendedCr3));
        Assert.Equal(0, d.CallWith(Hypercall.XenVersion, XenVersionOp.GetFeatures, new XenFeatureInfo()));
        Assert.Equal(0x220f0u, d.Get<XenFeatureInfo>(TestDomain.ScratchVa).Submap);
        Assert.Equal(0, d.Call(Hypercall.XenVersion, XenVersionOp.GuestHandle, TestDomain.ScratchVa));
        Assert.Equal(0x33221100u, d.Get<uint>(TestDomain.ScratchVa));
        for (ulong op = 1; op <= 9; op++)
        {
            Assert.Equal(op == XenVersionOp.Pagesize ? 4096 : -Errno.EFAULT,
                d.Call(Hypercall.XenVersion, op, TestDomain.BadVa));
        }
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.XenVersion, 77));
    }

    [Fact]
    public void ConsoleIoReachesTheSink()
    {
        using TestDomain d = new();
        byte[] text = Encoding.ASCII.GetBytes("mapping kernel into physical memory\n");
        d.Frames.TryWrite(TestDomain.ScratchVa, text);
        Assert.Equal(0, d.Call(Hypercall.ConsoleIo, 0, (ulong)text.Length, TestDomain.ScratchVa));
        Assert.Equal("mapping kernel into physical memory\n", d.Console);
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.ConsoleIo, 0, 4, TestDomain.BadVa));
        Assert.Equal(0, d.Call(Hypercall.ConsoleIo, 0, ulong.MaxValue, TestDomain.ScratchVa));
        Assert.True(d.Console.Length < 32768);
    }

    [Fact]
    public void TrapTableEndsAtAddressZero()
    {
        using TestDomain d = new();
        d.Put(TestDomain.ScratchVa, new TrapInfo { Vector = 3, Flags = 7, Address = 0x1000 });
        d.Put(TestDomain.ScratchVa + 16, new TrapInfo { Vector = 14, Flags = 4, Address = 0x2000 });
        d.Put(TestDomain.ScratchVa + 32, new TrapInfo { Vector = 9 });
        Assert.Equal(0, d.Call(Hypercall.SetTrapTable, TestDomain.ScratchVa));
        Assert.Equal((0x1000ul, 0x2000ul, 7), (d.Vcpu.Traps[3].Address, d.Vcpu.Traps[14].Address, d.Vcpu.Traps[3].Flags));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.SetTrapTable, TestDomain.BadVa));
        Assert.Equal(0x1000u, d.Vcpu.Traps[3].Address);
        Assert.Equal(0, d.Call(Hypercall.SetTrapTable, 0));
        Assert.Equal(0u, d.Vcpu.Traps[3].Address);
        d.Put(TestDomain.ScratchVa, new TrapInfo { Vector = 3, Address = NonCanonical });
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.SetTrapTable, TestDomain.ScratchVa));
    }

    [Fact]
    public void GdtFramesBecomeDescriptorPages()
    {
        using TestDomain d = new();
        const ulong gdt = 0x60;
        d.Put(TestDomain.ScratchVa, gdt);
        Assert.Equal(0, d.Call(Hypercall.SetGdt, TestDomain.ScratchVa, 16));
        const ulong userCode = 0x00affa000000ffff & ~Vcpus.Descriptor.DplMask;
        Assert.Equal(0, d.Call(Hypercall.UpdateDescriptor, (gdt << 12) + 0x30, userCode));
        Assert.True(d.Vcpu.TryReadDescriptor(0x33, out ulong descriptor));
        Assert.Equal(0x00affa000000fffful, descriptor);
        Assert.False(d.Vcpu.TryReadDescriptor(16 << 3, out _));
        Assert.True(d.Vcpu.TryReadDescriptor(FlatSelector.KernelCs64, out ulong flat));
        Assert.True(new Vcpus.Descriptor(flat).IsLong);
        const ulong callGate = 0x0000ec0000000000;
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateDescriptor, (gdt << 12) + 0x30, callGate));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateDescriptor, (gdt << 12) + 4, 0));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateDescriptor, TestDomain.L4 << 12, 0));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.SetGdt, TestDomain.ScratchVa, 7169));
        d.Put(TestDomain.ScratchVa, TestDomain.L4);
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.SetGdt, TestDomain.ScratchVa, 16));
        Assert.True(d.Vcpu.TryReadDescriptor(0x33, out _));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.SetGdt, TestDomain.BadVa, 16));
    }

    [Fact]
    public void LdtIsReadThroughItsAddress()
    {
        using TestDomain d = new();
        d.Put((0x61ul << 12) + 8, 0x00cff3000000fffful);
        d.Put(TestDomain.ScratchVa, new MmuextOp { Cmd = MmuextCommand.SetLdt, LinearAddr = 0x61 << 12, NrEnts = 2 });
        Assert.Equal(0, d.Call(Hypercall.MmuextOp, TestDomain.ScratchVa, 1, 0, Domid.Self));
        Assert.True(d.Vcpu.TryReadDescriptor(0xf, out ulong descriptor));
        Assert.Equal(0x00cff3000000fffful, descriptor);
        Assert.False(d.Vcpu.TryReadDescriptor(0x17, out _));
    }

    [Fact]
    public void SegmentBases()
    {
        using TestDomain d = new();
        Assert.Equal(0, d.Call(Hypercall.SetSegmentBase, SegmentBase.Fs, 0x1000));
        Assert.Equal(0, d.Call(Hypercall.SetSegmentBase, SegmentBase.GsKernel, 0x2000));
        Assert.Equal(0, d.Call(Hypercall.SetSegmentBase, SegmentBase.GsUser, 0x3000));
        Assert.Equal((0x1000ul, 0x2000ul, 0x3000ul),
            (d.Cpu.Registers.FsBase, d.Cpu.Registers.GsBase, d.Vcpu.OtherGsBase));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.SetSegmentBase, SegmentBase.Fs, NonCanonical));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.SetSegmentBase, 9, 0));
        Assert.Equal(0, d.Call(Hypercall.SetSegmentBase, SegmentBase.GsUserSel, 0x7b));
        Assert.Equal(0, d.Cpu.Registers.Selectors[(int)SegmentRegister.Gs]);
    }

    [Fact]
    public void CallbacksAndAssists()
    {
        using TestDomain d = new();
        Assert.Equal(0, d.CallWith(Hypercall.CallbackOp, CallbackOp.Register,
            new CallbackRegister { Type = CallbackType.Syscall, Flags = 1, Address = 0x77 }));
        Assert.Equal(new Vcpus.Callback(0x77, true), d.Vcpu.SyscallCallback);
        Assert.Equal(-Errno.ENOSYS, d.CallWith(Hypercall.CallbackOp, CallbackOp.Register,
            new CallbackRegister { Type = 6, Address = 0x77 }));
        Assert.Equal(-Errno.EINVAL, d.CallWith(Hypercall.CallbackOp, CallbackOp.Unregister,
            new CallbackUnregister { Type = CallbackType.Syscall }));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.CallbackOp, CallbackOp.Register, TestDomain.BadVa));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.VmAssist, VmAssistCommand.Enable, 200));
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.VmAssist, 2, VmAssistType.WritablePagetables));
    }

    [Theory]
    [InlineData(0, 0x1234, 0)]
    [InlineData(0, NonCanonical, -Errno.EPERM)]
    [InlineData(3, VirtualLayout.HypervisorVirtStart, -Errno.EPERM)]
    [InlineData(6, 0x1_0000_0000, -Errno.EINVAL)]
    [InlineData(7, 0x2000, -Errno.EPERM)]
    [InlineData(8, 0, -Errno.ENODEV)]
    public void DebugRegisters(ulong number, ulong value, long expected)
    {
        using TestDomain d = new();
        Assert.Equal(expected, d.Call(Hypercall.SetDebugreg, number, value));
        if (expected == 0)
        {
            Assert.Equal((long)value, d.Call(Hypercall.GetDebugreg, number));
        }
    }

    [Fact]
    public void MulticallKeepsGoingAfterAnError()
    {
        using TestDomain d = new();
        MulticallEntry bad = new() { Op = 63 };
        MulticallEntry good = new() { Op = Hypercall.StackSwitch };
        good.Args[1] = 0x4444;
        MulticallEntry nested = new() { Op = Hypercall.Multicall };
        d.Put(TestDomain.ScratchVa, bad);
        d.Put(TestDomain.ScratchVa + 64, good);
        d.Put(TestDomain.ScratchVa + 128, nested);
        Assert.Equal(0, d.Call(Hypercall.Multicall, TestDomain.ScratchVa, 3));
        Assert.Equal(-Errno.ENOSYS, d.Get<long>(TestDomain.ScratchVa + 8));
        Assert.Equal(0, d.Get<long>(TestDomain.ScratchVa + 64 + 8));
        Assert.Equal(-Errno.EINVAL, d.Get<long>(TestDomain.ScratchVa + 128 + 8));
        Assert.Equal(0x4444u, d.Vcpu.KernelSp);
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.Multicall, TestDomain.BadVa, 1));
    }

    [Fact]
    public void VcpuOperations()
    {
        using TestDomain d = new(vcpus: 2);
        Assert.Equal(-Errno.ENOENT, d.Call(Hypercall.VcpuOp, VcpuOp.IsUp, 2));
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.IsUp, 1));
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.StopPeriodicTimer, 0));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.VcpuOp, VcpuOp.SetSingleshotTimer, 1, TestDomain.ScratchVa));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.VcpuOp, VcpuOp.SetSingleshotTimer, 0, TestDomain.BadVa));
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.SetSingleshotTimer, 0, TestDomain.ScratchVa));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.VcpuOp, VcpuOp.Up, 1));
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.VcpuOp, 99, 0));
        d.Put(TestDomain.ScratchVa, new VcpuRegisterVcpuInfo { Mfn = 0x70, Offset = 0x40 });
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.RegisterVcpuInfo, 0, TestDomain.ScratchVa));
        Assert.Equal((0x70ul, 0x40), d.Vcpu.VcpuInfoLocation);
        Assert.True(d.Vcpu.UpcallPending);
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.VcpuOp, VcpuOp.RegisterVcpuInfo, 0, TestDomain.ScratchVa));
    }

    [Fact]
    public void InitialiseGivesAContextOnce()
    {
        using TestDomain d = new(vcpus: 2);
        const ulong at = 0x80 << 12;
        VcpuGuestContext context = new() { Flags = VcpuGuestContextFlags.InKernel, GdtEnts = 16 };
        context.GdtFrames[0] = 0x62;
        context.Ctrlreg[3] = 0x7fffffful << 12;
        context.UserRegs.Rip = 0xabc;
        context.UserRegs.Cs = 0x10;
        context.UserRegs.Rflags = 0x1000;
        d.Put(at, context);
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.VcpuOp, VcpuOp.Initialise, 1, at));
        context.Ctrlreg[3] = TestDomain.L4 << 12;
        d.Put(at, context);
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.Initialise, 1, at));
        Assert.Equal(-Errno.EEXIST, d.Call(Hypercall.VcpuOp, VcpuOp.Initialise, 1, at));
        Assert.Equal(1u, d.Domain.Vcpu(1).Iopl);
        Assert.Equal(1, d.Domain.Vcpu(1).UpcallMask);
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.VcpuOp, VcpuOp.Initialise, 1, TestDomain.BadVa));
    }

    [Fact]
    public void GrantTableArguments()
    {
        using TestDomain d = new();
        ulong list = TestDomain.ScratchVa + 0x100;
        d.Put(TestDomain.ScratchVa, new GnttabSetupTable { Dom = Domid.Self, NrFrames = 2, FrameList = list });
        Assert.Equal(0, d.Call(Hypercall.GrantTableOp, GrantTableOp.SetupTable, TestDomain.ScratchVa, 1));
        Assert.Equal(GrantStatus.Okay, d.Get<GnttabSetupTable>(TestDomain.ScratchVa).Status);
        Assert.True(d.Get<ulong>(list + 8) >= GuestFrames.SpecialBase);
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.GrantTableOp, GrantTableOp.QuerySize, TestDomain.BadVa, 1));
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.GrantTableOp, GrantTableOp.Transfer, TestDomain.ScratchVa, 1));
    }

    [Fact]
    public void PhysicalDevices()
    {
        using TestDomain d = new();
        Assert.Equal(0, d.CallWith(Hypercall.PhysdevOp, PhysdevOp.SetIopl, new PhysdevSetIopl { Iopl = 1 }));
        Assert.Equal(1u, d.Vcpu.Iopl);
        Assert.Equal(-Errno.EINVAL, d.CallWith(Hypercall.PhysdevOp, PhysdevOp.SetIopl, new PhysdevSetIopl { Iopl = 4 }));
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.PhysdevOp, PhysdevOp.PirqEoiGmfnV2, TestDomain.ScratchVa));
    }
}
