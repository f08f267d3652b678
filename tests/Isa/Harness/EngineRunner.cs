using System;
using System.Collections.Generic;
using System.Threading;
using Iced.Intel;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>Runs sequences as a guest of an engine: one vCPU, page tables built from the case's layout.</summary>
public sealed class EngineRunner : ICaseRunner, IVcpuHost
{
    private const ulong TableFrames = 896;
    private const ushort FsSelector = 7, GsSelector = 15;
    private const int WatchMilliseconds = 100;

    /// <summary>Processor time, not time on the clock: the machine may be busy with other things.</summary>
    private static readonly TimeSpan s_longestRun = TimeSpan.FromSeconds(1.5);

    private readonly GuestFrames _frames = new(AddressLayout.MaxFrames + TableFrames, 16);
    private readonly GuestPageTables _tables;
    private readonly Dictionary<AddressLayout, ulong> _roots = [];
    private readonly Func<GuestFrames, IEngine> _create;
    private IEngine _engine;
    private IVcpu _vcpu;
    private readonly Timer _watch;
    private AddressLayout? _layout;
    private bool _kernelMode;
    private uint _fsBase, _gsBase;
    private long _runs;
    private long _watchedRun;
    private TimeSpan _watchedSince;
    private volatile bool _running;

    public bool KeepsDeadFlags { get; }

    public EngineRunner(Func<GuestFrames, IEngine> create, bool keepsDeadFlags)
    {
        KeepsDeadFlags = keepsDeadFlags;
        _create = create;
        _tables = new GuestPageTables(_frames, AddressLayout.MaxFrames, TableFrames);
        _engine = create(_frames);
        _vcpu = _engine.CreateVcpu(0, this);
        _watch = new Timer(_ => Watch(), null, WatchMilliseconds, WatchMilliseconds);
    }

    public IEngine Engine => _engine;

    public IVcpu Vcpu => _vcpu;

    public GuestFrames Frames => _frames;

    /// <summary>The exit that ended the last run, as the engine gave it.</summary>
    public VcpuExit LastExit { get; private set; }

    public GuestPageTables Tables => _tables;

    public Span<byte> Frame(int frame) => _frames.Span((ulong)frame);

    /// <summary>The mfn of the L4 table that maps a layout.</summary>
    public ulong Root(AddressLayout layout)
    {
        if (!_roots.TryGetValue(layout, out ulong root))
        {
            root = _tables.Build(layout);
            _roots.Add(layout, root);
        }
        return root;
    }

    public void Load(TestCase test)
    {
        _kernelMode = test.KernelMode;
        if (!ReferenceEquals(_layout, test.Layout))
        {
            _layout = test.Layout;
            _vcpu.KernelRoot = Root(test.Layout);
            _vcpu.UserRoot = Root(test.Layout);
        }
        foreach (int frame in test.Layout.Frames)
        {
            Fill(frame, test.FrameContent(frame));
        }
    }

    /// <summary>Writes what differs, and tells the engine, as the monitor does after its own writes.</summary>
    private void Fill(int frame, ReadOnlySpan<byte> wanted)
    {
        Span<byte> now = Frame(frame);
        int first = now.CommonPrefixLength(wanted);
        if (first == wanted.Length)
        {
            return;
        }
        int last = wanted.Length;
        while (now[last - 1] == wanted[last - 1])
        {
            last--;
        }
        wanted[first..last].CopyTo(now[first..]);
        _frames.NoteWritten(frame, first, last - first);
    }

    public RunResult Run(in CpuState start)
    {
        LoadState(start);
        Interlocked.Increment(ref _runs);
        VcpuExit exit;
        _running = true;
        try
        {
            _vcpu.Run(out exit);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or IndexOutOfRangeException
            or NullReferenceException or KeyNotFoundException or NotSupportedException)
        {
            // We erred. One such case must not hide the others: go on with a new engine.
            Restart();
            return new RunResult { Kind = EndKind.Other, Detail = $"{e.GetType().Name}: {e.Message}" };
        }
        finally
        {
            _running = false;
        }
        var result = new RunResult { State = GetState(_vcpu) };
        result.State.Compatibility = start.Compatibility;
        LastExit = exit;
        Describe(exit, result);
        return result;
    }

    private void Restart()
    {
        _engine.Dispose();
        for (long i = 0; i < (long)_frames.TotalFrames; i++)
        {
            _frames.Clear(i, (FrameFlags)0xff);
        }
        _engine = _create(_frames);
        _vcpu = _engine.CreateVcpu(0, this);
        _layout = null;
    }

    private static void Describe(in VcpuExit exit, RunResult result)
    {
        switch (exit.Kind)
        {
            case ExitKind.Exception:
                result.Kind = EndKind.Exception;
                result.Vector = (ExceptionVector)exit.Vector;
                result.ErrorCode = exit.HasErrorCode ? exit.ErrorCode : 0;
                result.Cr2 = exit.Address;
                break;
            case ExitKind.Kicked:
                result.Kind = EndKind.Timeout;
                break;
            default:
                result.Kind = EndKind.Other;
                result.Detail = $"{exit.Kind} {exit.Operation} vector {exit.Vector} length {exit.Length}";
                break;
        }
    }

    private void LoadState(in CpuState state)
    {
        (_fsBase, _gsBase) = ((uint)state.FsBase, (uint)state.GsBase);
        SetState(_vcpu, state, _kernelMode);
    }

    /// <summary>Puts code for an address into the test frame behind it, and tells the engine.</summary>
    public void Write(int frame, ulong va, Action<Assembler> write)
    {
        byte[] code = MachineCode.Assemble(write, va);
        int offset = (int)(va % AddressLayout.PageSize);
        code.CopyTo(Frame(frame)[offset..]);
        _frames.NoteWritten(frame, offset, code.Length);
    }

    /// <summary>All registers 0, but where to begin and the stack pointer.</summary>
    public static void SetStart(IVcpu vcpu, ulong rip, ulong rsp, bool kernelMode)
    {
        CpuState state = default;
        state.Rip = rip;
        state[Gpr.Rsp] = rsp;
        state.Rflags = (ulong)(Rflags.Reserved1 | Rflags.IF);
        SetState(vcpu, state, kernelMode);
    }

    /// <summary>Selectors are those that Linux gives a process, so that code that reads them agrees.</summary>
    public static void SetState(IVcpu vcpu, in CpuState state, bool kernelMode)
    {
        ref VcpuRegisters registers = ref vcpu.Registers;
        registers = default;
        registers.Gpr = state.Gpr;
        registers.Rip = state.Rip;
        registers.Rflags = state.Rflags;
        registers.FsBase = state.FsBase;
        registers.GsBase = state.GsBase;
        bool compatibility = state.Compatibility != 0;
        registers.Selectors[(int)SegmentRegister.Cs] = (ushort)(compatibility ? 0x23 : 0x33);
        registers.Selectors[(int)SegmentRegister.Ss] = 0x2b;
        if (compatibility)
        {
            registers.Selectors[(int)SegmentRegister.Ds] = registers.Selectors[(int)SegmentRegister.Es] = 0x2b;
            registers.Selectors[(int)SegmentRegister.Fs] = FsSelector;
            registers.Selectors[(int)SegmentRegister.Gs] = GsSelector;
        }
        registers.KernelMode = kernelMode ? (byte)1 : (byte)0;
        registers.LongCode = compatibility ? (byte)0 : (byte)1;
        Span<byte> area = stackalloc byte[Math.Max(vcpu.XsaveSize, XsaveArea.Length)];
        area.Clear();
        ReadOnlySpan<byte> vectors = state.Xsave;
        vectors.CopyTo(area);
        vcpu.WriteXsave(area[..vcpu.XsaveSize]);
    }

    public static CpuState GetState(IVcpu vcpu)
    {
        CpuState state = default;
        ref VcpuRegisters registers = ref vcpu.Registers;
        state.Gpr = registers.Gpr;
        state.Rip = registers.Rip;
        state.Rflags = registers.Rflags;
        state.FsBase = registers.FsBase;
        state.GsBase = registers.GsBase;
        Span<byte> area = stackalloc byte[Math.Max(vcpu.XsaveSize, XsaveArea.Length)];
        vcpu.ReadXsave(area[..vcpu.XsaveSize]);
        area[..XsaveArea.Length].CopyTo(state.Vectors);
        return state;
    }

    /// <summary>A sequence that does not end is kicked out; the host side has its own limit.</summary>
    private void Watch()
    {
        long run = Interlocked.Read(ref _runs);
        TimeSpan now = Environment.CpuUsage.TotalTime;
        if (!_running || run != _watchedRun)
        {
            (_watchedRun, _watchedSince) = (run, now);
        }
        else if (now - _watchedSince > s_longestRun)
        {
            _watchedSince = now;
            _vcpu.Kick();
        }
    }

    /// <summary>A flat 32-bit data segment with a base (SDM vol. 3, 3.4.5).</summary>
    private static ulong DataDescriptor(uint @base) =>
        0x00cf_f300_0000_ffff | (ulong)(@base & 0xff_ffff) << 16 | (ulong)(@base >> 24) << 56;

    /// <summary>The user descriptors of Linux: 32-bit code, data, 64-bit code; two of an LDT.</summary>
    public bool TryReadDescriptor(ushort selector, out ulong descriptor)
    {
        descriptor = selector switch
        {
            0x23 => 0x00cf_fb00_0000_ffff,
            0x2b => 0x00cf_f300_0000_ffff,
            0x33 => 0x00af_fb00_0000_ffff,
            FsSelector => DataDescriptor(_fsBase),
            GsSelector => DataDescriptor(_gsBase),
            _ => 0,
        };
        return descriptor != 0;
    }

    public void Dispose()
    {
        _watch.Dispose();
        _engine.Dispose();
        _frames.Dispose();
    }
}
