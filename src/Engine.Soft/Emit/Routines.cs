using System;
using System.Collections.Generic;
using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>
/// The fixed machine-code routines of a domain: entering and leaving translated code, the signal handler,
/// and the string loops. Assembled once into the code cache.
/// </summary>
internal sealed unsafe partial class Routines
{
    /// <summary>Word for the exit routine when a jump-cache look-up missed.</summary>
    public const uint JumpMissMark = 0xffff_ffff;

    /// <summary>Word when a host signal interrupted translated code.</summary>
    public const uint FaultMark = 0xffff_fffe;

    /// <summary>Word at the end of a one-instruction copy on the bounce buffer.</summary>
    public const uint StepMark = 0xffff_fffd;

    private readonly CodeCache _cache;
    private readonly bool _inlineFills;

    /// <summary>void Enter(area, code): System V.</summary>
    public byte* Enter { get; }

    /// <summary>
    /// Jumped to from stubs, with the word of the site on the stack. Not called: the processor predicts returns by counting calls, so one that never
    /// returns makes it mispredict those of C# behind it.
    /// </summary>
    public byte* Exit { get; }

    /// <summary>
    /// Jumped to by the block that a jump-cache entry named: with TEMP0 = wanted address from user code, with TEMP1 = minus the block's
    /// address and TEMP0 = wanted address + TEMP1 from kernel code.
    /// </summary>
    public byte* JumpMiss(bool kernel) => kernel ? _kernelJumpMiss : _userJumpMiss;

    private readonly byte* _kernelJumpMiss, _userJumpMiss, _kernelJumpEmpty;

    /// <summary>Code of an empty jump-cache entry: TEMP0 = wanted address. That of user code may be one that the second level knows.</summary>
    public byte* JumpEmpty(bool kernel) => kernel ? _kernelJumpEmpty : _userJumpMiss;

    public byte* FaultExit { get; }

    /// <summary>void SaveX87(area), void LoadX87(area): the legacy area of <see cref="VcpuArea.Xsave"/>.</summary>
    public byte* SaveX87 { get; }

    public byte* LoadX87 { get; }

    /// <summary>void EnterMmx(): an MMX instruction that writes no MMX register.</summary>
    public byte* EnterMmx { get; }

    /// <summary>Called before state beyond AVX is used: all of it is zero. Keeps flags and all other registers.</summary>
    public byte* WakeBeyondAvx { get; }

    /// <summary>ulong ReadTsc().</summary>
    public byte* ReadTsc { get; }

    private readonly byte*[] _strings = new byte*[16];

    /// <param name="inlineFills">what a soft TLB or a code page lacks is looked up by routines, if it can be</param>
    public Routines(CodeCache cache, bool inlineFills)
    {
        _cache = cache;
        _inlineFills = inlineFills;
        Exit = Place("exit", AssembleExit);
        Enter = Place("enter", AssembleEnter);
        _kernelJumpEmpty = Place("jump-empty", a => { a.mov(r11d, 0); Leave(a, JumpMissMark); });
        _kernelJumpMiss = Place("jump-miss-kernel", AssembleKernelJumpMiss);
        _userJumpMiss = Place("jump-miss-user", AssembleUserJumpMiss);
        FaultExit = Place("fault-exit", a => Leave(a, FaultMark));
        SaveX87 = Place("save-x87", a => { a.fxsave64(__[rdi + VcpuArea.Xsave]); a.ret(); });
        LoadX87 = Place("load-x87", AssembleLoadX87);
        EnterMmx = Place("enter-mmx", a => { a.movd(eax, mm0); a.ret(); });
        WakeBeyondAvx = Place("wake", AssembleWake);
        ReadTsc = Place("read-tsc", a => { a.rdtsc(); a.shl(rdx, 32); a.or(rax, rdx); a.ret(); });
        PlaceFills();
        for (int n = 0; n < _stacks.Length; n++)
        {
            bool ofKernel = (n & 1) != 0, aligned = (n & 2) != 0;
            _stacks[n] = Place("stack-refill", a => AssembleStackRefill(a, ofKernel, aligned));
        }
        for (int n = 0; n < _splitIn.Length; n++)
        {
            bool ofKernel = (n & 1) != 0, write = (n & 2) != 0;
            _splitIn[n] = Place("split-in", a => AssembleSplitIn(a, write ? VcpuArea.WriteTable(ofKernel) : VcpuArea.ReadTable(ofKernel)));
        }
        SplitOut = Place("split-out", AssembleSplitOut);
        for (int log = 0; log < 4; log++)
        {
            foreach (bool kernel in (ReadOnlySpan<bool>)[false, true])
            {
                int at = log * 2 + (kernel ? 1 : 0);
                int width = log;
                bool mode = kernel;
                _strings[at] = Place("movs", a => AssembleMovs(a, width, mode));
                _strings[8 + at] = Place("stos", a => AssembleStos(a, width, mode));
            }
        }
    }

    /// <summary>
    /// REP MOVS for elements of 1 &lt;&lt; log bytes, forward. Works as far as both pages are in the soft TLB;
    /// returns TEMP0 = 0 when done, 1 when the monitor must go on from the registers as they are.
    /// </summary>
    public byte* Movs(int log, bool kernel) => _strings[log * 2 + (kernel ? 1 : 0)];

    /// <summary>REP STOS, likewise.</summary>
    public byte* Stos(int log, bool kernel) => _strings[8 + log * 2 + (kernel ? 1 : 0)];

    /// <summary>
    /// Called with TEMP0 = lowest address of a stack group and TEMP1 = 4096 - its span: takes the page from the write
    /// TLB as the stack's page. Returns TEMP0 = 0, or 1 when it is not there or the range crosses a page. Keeps flags.
    /// </summary>
    public byte* StackRefill(bool kernel, bool aligned) => _stacks[(kernel ? 1 : 0) + (aligned ? 2 : 0)];

    private readonly byte*[] _stacks = new byte*[4];

    private readonly byte*[] _splitIn = new byte*[4];

    /// <summary>
    /// Called with TEMP0 = address and TEMP1 = bytes of an operand that may cross a page: copies it together and returns TEMP0 = the
    /// copy's address, or 0 when it does not cross or a page is not in the soft TLB. Keeps flags and all registers but TEMP1.
    /// </summary>
    public byte* SplitIn(bool kernel, bool write) => _splitIn[(kernel ? 1 : 0) | (write ? 2 : 0)];

    /// <summary>Copies what <see cref="SplitIn"/> copied last back to where it came from. Keeps flags and all registers but the two.</summary>
    public byte* SplitOut { get; }

    /// <summary>All routines: name, address and length in bytes.</summary>
    public IReadOnlyList<(string Name, nint Address, int Bytes)> All => _all;

    private readonly List<(string Name, nint Address, int Bytes)> _all = [];

    private byte* Place(string name, Action<Assembler> build)
    {
        var assembler = new Assembler(64);
        build(assembler);
        var stream = new MemoryStream();
        byte* at = _cache.TryAllocate(0);
        assembler.Assemble(new StreamCodeWriter(stream), (ulong)at);
        byte[] code = stream.ToArray();
        if (_cache.TryAllocate(code.Length) != at)
        {
            throw new InvalidOperationException("code cache too small for the fixed routines");
        }
        code.CopyTo(new Span<byte>(at, code.Length));
        _all.Add((name, (nint)at, code.Length));
        return at;
    }

    private void Leave(Assembler a, uint mark)
    {
        a.push(unchecked((int)mark));
        a.jmp((ulong)Exit);
    }

    /// <summary>FXRSTOR also loads MXCSR, which must stay the host's while C# runs.</summary>
    private static void AssembleLoadX87(Assembler a)
    {
        a.stmxcsr(__dword_ptr[rdi + VcpuArea.HostMxcsr]);
        a.fxrstor64(__[rdi + VcpuArea.Xsave]);
        a.ldmxcsr(__dword_ptr[rdi + VcpuArea.HostMxcsr]);
        a.ret();
    }

    /// <summary>Host registers that hold a guest register while translated code runs.</summary>
    private static readonly (AssemblerRegister64 Host, int Guest)[] HeldRegisters =
    [
        (rax, 0), (r9, 1), (rdx, 2), (rbx, 3), (r10, 4), (rbp, 5), (rsi, 6), (rdi, 7), (r8, 8), (r12, 12), (r13, 13), (r14, 14), (r15, 15),
    ];

    private static void AssembleEnter(Assembler a)
    {
        a.push(rbx);
        a.push(rbp);
        a.push(r12);
        a.push(r13);
        a.push(r14);
        a.push(r15);
        a.mov(__qword_ptr[rdi + VcpuArea.HostRsp], rsp);
        a.mov(rsp, rdi);
        a.mov(__qword_ptr[rsp + VcpuArea.Target], rsi);
        a.stmxcsr(__dword_ptr[rsp + VcpuArea.HostMxcsr]);
        a.ldmxcsr(__dword_ptr[rsp + VcpuArea.GuestMxcsr]);
        LoadVectors(a);
        a.mov(eax, __dword_ptr[rsp + VcpuArea.RflagsOffset]);
        a.mov(ecx, eax);
        a.shr(ecx, 11);
        a.and(ecx, 1);
        a.add(cl, 0x7f);
        a.mov(ah, al);
        a.sahf();
        for (int n = 0; n < 3; n++)
        {
            a.mov(rax, __qword_ptr[rsp + (VcpuArea.RegistersAt + (HostRegisters.R9 + n) * 8)]);
            a.mov(__qword_ptr[rsp + (VcpuArea.HighRegisters + n * 8)], rax);
        }
        foreach ((AssemblerRegister64 host, int guest) in HeldRegisters)
        {
            a.mov(host, __qword_ptr[rsp + HostRegisters.Slot(guest)]);
        }
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Temp0Save]); // the value of a load that C# completed
        a.jmp(__qword_ptr[rsp + VcpuArea.Target]);
    }

    /// <summary>
    /// Registers whose upper halves are all zero are loaded without touching those, which the processor then knows to be clean: legacy
    /// SSE instructions are up to twice as slow beside dirty ones (Intel optimization manual, "Mixing Intel AVX and SSE code").
    /// </summary>
    private static void LoadVectors(Assembler a)
    {
        Label upTo256 = a.CreateLabel(), wide = a.CreateLabel(), loaded = a.CreateLabel();
        if (HostState.HasAvx512)
        {
            a.cmp(__word_ptr[rsp + VcpuArea.Sleeping], 0);
            a.jne(upTo256);
            for (int i = 16; i < 32; i++)
            {
                a.vmovdqa64(Zmm(i), __zmmword_ptr[rsp + VcpuArea.Zmm(i)]);
            }
            for (int i = 0; i < 8; i++)
            {
                a.kmovq(K(i), __qword_ptr[rsp + VcpuArea.Opmask(i)]);
            }
            a.cmp(__byte_ptr[rsp + VcpuArea.UpperHalves], 0);
            a.je(upTo256);
            for (int i = 0; i < 16; i++)
            {
                a.vmovdqa64(Zmm(i), __zmmword_ptr[rsp + VcpuArea.Zmm(i)]);
            }
            a.jmp(loaded);
        }
        a.Label(ref upTo256);
        a.cmp(__byte_ptr[rsp + VcpuArea.WideVectors], 0);
        a.jne(wide);
        a.vzeroupper();
        for (int i = 0; i < 16; i++)
        {
            a.movdqa(Xmm(i), __xmmword_ptr[rsp + VcpuArea.Zmm(i)]);
        }
        a.jmp(loaded);
        a.Label(ref wide);
        for (int i = 0; i < 16; i++)
        {
            a.vmovdqa(Ymm(i), __ymmword_ptr[rsp + VcpuArea.Zmm(i)]);
        }
        a.Label(ref loaded);
    }

    private static void StoreVectors(Assembler a)
    {
        Label upTo256 = a.CreateLabel(), stored = a.CreateLabel();
        if (HostState.HasAvx512)
        {
            a.cmp(__word_ptr[rsp + VcpuArea.Sleeping], 0);
            a.jne(upTo256);
            StoreBeyondAvx(a);
            a.jmp(stored);
        }
        a.Label(ref upTo256);
        for (int i = 0; i < 16; i++)
        {
            a.vmovdqa(__ymmword_ptr[rsp + VcpuArea.Zmm(i)], Ymm(i));
        }
        for (int step = 1; step < 16; step *= 2)
        {
            for (int i = 0; i < 16; i += 2 * step)
            {
                a.vpor(Ymm(i), Ymm(i), Ymm(i + step));
            }
        }
        a.Label(ref stored);
        a.vextracti128(xmm0, ymm0, 1);
        a.vptest(xmm0, xmm0);
        a.setne(__byte_ptr[rsp + VcpuArea.WideVectors]);
    }

    /// <summary>All vector and mask registers; says what of them is not zero. YMM0 = what the lower halves of zmm0-15 have together.</summary>
    private static void StoreBeyondAvx(Assembler a)
    {
        for (int i = 0; i < 32; i++)
        {
            a.vmovdqa64(__zmmword_ptr[rsp + VcpuArea.Zmm(i)], Zmm(i));
        }
        for (int i = 0; i < 8; i++)
        {
            a.kmovq(__qword_ptr[rsp + VcpuArea.Opmask(i)], K(i));
        }
        for (int step = 1; step < 16; step *= 2)
        {
            for (int i = 0; i < 32; i += 2 * step)
            {
                a.vporq(Zmm(i), Zmm(i), Zmm(i + step));
            }
        }
        for (int step = 1; step < 8; step *= 2)
        {
            for (int i = 0; i < 8; i += 2 * step)
            {
                a.korq(K(i), K(i), K(i + step));
            }
        }
        a.vextracti64x4(ymm1, zmm0, 1);
        a.vptest(ymm1, ymm1);
        a.setne(al);
        a.mov(__byte_ptr[rsp + VcpuArea.UpperHalves], al);
        a.vptestmq(k1, zmm16, zmm16);
        a.kortestq(k0, k1);
        a.setne(cl);
        a.or(al, cl);
        a.mov(__byte_ptr[rsp + VcpuArea.BeyondAvx], al);
    }

    private static void AssembleWake(Assembler a)
    {
        if (HostState.HasAvx512)
        {
            for (int i = 16; i < 32; i++)
            {
                a.vpxord(Zmm(i), Zmm(i), Zmm(i));
            }
            for (int i = 0; i < 8; i++)
            {
                a.kxorq(K(i), K(i), K(i));
            }
            a.mov(__word_ptr[rsp + Called + VcpuArea.Sleeping], 0);
        }
        a.ret();
    }

    private static void AssembleExit(Assembler a)
    {
        a.mov(__qword_ptr[rsp + (Called + VcpuArea.RegistersAt)], rax);
        a.mov(__qword_ptr[rsp + (Called + VcpuArea.Temp0Save)], rcx);
        a.lahf();
        a.seto(al);
        a.pop(rcx);
        a.mov(__dword_ptr[rsp + VcpuArea.ExitWord], ecx);
        a.movzx(ecx, ah);
        a.movzx(eax, al);
        a.shl(eax, 11);
        a.or(eax, ecx);
        a.mov(ecx, __dword_ptr[rsp + VcpuArea.RflagsOffset]);
        a.and(ecx, ~0x8d5);
        a.and(eax, 0x8d5);
        a.or(ecx, eax);
        a.mov(__dword_ptr[rsp + VcpuArea.RflagsOffset], ecx);
        a.mov(__qword_ptr[rsp + VcpuArea.Temp1Save], r11);
        foreach ((AssemblerRegister64 host, int guest) in HeldRegisters)
        {
            if (guest != HostRegisters.Rax)
            {
                a.mov(__qword_ptr[rsp + HostRegisters.Slot(guest)], host);
            }
        }
        for (int n = 0; n < 3; n++)
        {
            a.mov(rax, __qword_ptr[rsp + (VcpuArea.HighRegisters + n * 8)]);
            a.mov(__qword_ptr[rsp + (VcpuArea.RegistersAt + (HostRegisters.R9 + n) * 8)], rax);
        }
        StoreVectors(a);
        a.stmxcsr(__dword_ptr[rsp + VcpuArea.GuestMxcsr]);
        a.ldmxcsr(__dword_ptr[rsp + VcpuArea.HostMxcsr]);
        a.vzeroupper();
        a.mov(rsp, __qword_ptr[rsp + VcpuArea.HostRsp]);
        a.pop(r15);
        a.pop(r14);
        a.pop(r13);
        a.pop(r12);
        a.pop(rbp);
        a.pop(rbx);
        a.ret();
    }

    private static AssemblerRegisterXMM Xmm(int i) => new(Register.XMM0 + i);

    private static AssemblerRegisterYMM Ymm(int i) => new(Register.YMM0 + i);

    private static AssemblerRegisterZMM Zmm(int i) => new(Register.ZMM0 + i);

    private static AssemblerRegisterK K(int i) => new(Register.K0 + i);

    private static void AssembleStackRefill(Assembler a, bool kernel, bool aligned)
    {
        Label fail = a.CreateLabel(), end = a.CreateLabel();
        int table = Called + VcpuArea.WriteTable(kernel);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.Spill0], rax);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.Spill1], rdx);
        a.lahf();
        a.seto(al);
        PlaceOfEntry(a, edx, ecx);
        a.add(rcx, __qword_ptr[rsp + rdx + table]);
        a.cmp(rcx, r11);
        a.ja(fail);
        if (aligned)
        {
            a.test(ecx, 7);
            a.jnz(fail);
        }
        a.mov(rcx, __qword_ptr[rsp + rdx + table]);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.StackTagOf(kernel)], rcx);
        a.add(rcx, __qword_ptr[rsp + rdx + (table + VcpuArea.TlbHost)]);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.StackDeltaOf(kernel)], rcx);
        a.xor(ecx, ecx);
        a.jmp(end);
        a.Label(ref fail);
        a.mov(ecx, 1);
        a.Label(ref end);
        a.add(al, 0x7f);
        a.sahf();
        a.mov(rax, __qword_ptr[rsp + Called + VcpuArea.Spill0]);
        a.mov(rdx, __qword_ptr[rsp + Called + VcpuArea.Spill1]);
        a.ret();
    }

    /// <summary>RAX, RDX, RSI and RDI, and with <paramref name="flags"/> those as well, which changes RAX.</summary>
    /// <param name="depth">bytes on the stack above the vCPU's block</param>
    private static void Keep(Assembler a, int depth, bool flags)
    {
        a.mov(__qword_ptr[rsp + (depth + VcpuArea.KeptRax)], rax);
        a.mov(__qword_ptr[rsp + (depth + VcpuArea.KeptRdx)], rdx);
        a.mov(__qword_ptr[rsp + (depth + VcpuArea.KeptRsi)], rsi);
        a.mov(__qword_ptr[rsp + (depth + VcpuArea.KeptRdi)], rdi);
        if (flags)
        {
            KeepFlags(a, depth + VcpuArea.KeptFlags);
        }
    }

    private static void Restore(Assembler a, int depth, bool flags)
    {
        if (flags)
        {
            RestoreFlags(a, depth + VcpuArea.KeptFlags);
        }
        a.mov(rax, __qword_ptr[rsp + (depth + VcpuArea.KeptRax)]);
        a.mov(rdx, __qword_ptr[rsp + (depth + VcpuArea.KeptRdx)]);
        a.mov(rsi, __qword_ptr[rsp + (depth + VcpuArea.KeptRsi)]);
        a.mov(rdi, __qword_ptr[rsp + (depth + VcpuArea.KeptRdi)]);
    }

    /// <summary>Arithmetic flags to 4 bytes of the stack, and back; by way of RAX.</summary>
    private static void KeepFlags(Assembler a, int at)
    {
        a.lahf();
        a.seto(al);
        a.mov(__dword_ptr[rsp + at], eax);
    }

    private static void RestoreFlags(Assembler a, int at)
    {
        a.mov(eax, __dword_ptr[rsp + at]);
        a.add(al, 0x7f);
        a.sahf();
    }

    /// <summary>rdx = place in the page of the address in rdx, rax = the place of the page's entry; to fail when it is not there.</summary>
    private static void SplitLookUp(Assembler a, int table, Label fail)
    {
        PlaceOfEntry(a, eax, edx);
        a.add(rdx, __qword_ptr[rsp + rax + (Called + table)]);
        a.cmp(rdx, 0xfff);
        a.ja(fail);
    }

    private static void AssembleSplitIn(Assembler a, int table)
    {
        Label fail = a.CreateLabel(), end = a.CreateLabel();
        Keep(a, Called, flags: true);
        a.mov(rdx, rcx);
        SplitLookUp(a, table, fail);
        a.mov(rsi, 0x1000);
        a.sub(rsi, rdx); // bytes in the first page
        a.sub(r11, rsi);
        a.jbe(fail);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.SplitBytes0], rsi);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.SplitBytes1], r11);
        a.add(rdx, __qword_ptr[rsp + rax + (Called + table + VcpuArea.TlbHost)]);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.SplitHost0], rdx);
        a.lea(rdx, __[rcx + rsi]);
        a.mov(rsi, __qword_ptr[rsp + Called + VcpuArea.SplitHost0]);
        SplitLookUp(a, table, fail);
        a.mov(rdx, __qword_ptr[rsp + rax + (Called + table + VcpuArea.TlbHost)]);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.SplitHost1], rdx);
        a.and(ecx, 63); // keeps the operand's alignment
        a.lea(rdi, __[rsp + rcx + (Called + VcpuArea.Bounce)]);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.SplitCopy], rdi);
        a.mov(rcx, __qword_ptr[rsp + Called + VcpuArea.SplitBytes0]);
        a.rep.movsb();
        a.mov(rsi, rdx);
        a.mov(rcx, r11);
        a.rep.movsb();
        a.mov(rcx, __qword_ptr[rsp + Called + VcpuArea.SplitCopy]);
        a.jmp(end);
        a.Label(ref fail);
        a.xor(ecx, ecx);
        a.Label(ref end);
        Restore(a, Called, flags: true);
        a.ret();
    }

    private static void AssembleSplitOut(Assembler a)
    {
        Keep(a, Called, flags: true);
        a.mov(rsi, __qword_ptr[rsp + Called + VcpuArea.SplitCopy]);
        a.mov(rdi, __qword_ptr[rsp + Called + VcpuArea.SplitHost0]);
        a.mov(rcx, __qword_ptr[rsp + Called + VcpuArea.SplitBytes0]);
        a.rep.movsb();
        a.mov(rdi, __qword_ptr[rsp + Called + VcpuArea.SplitHost1]);
        a.mov(rcx, __qword_ptr[rsp + Called + VcpuArea.SplitBytes1]);
        a.rep.movsb();
        Restore(a, Called, flags: true);
        a.ret();
    }

    private const int Called = 8; // the return address is on the stack

    private static void StringProlog(Assembler a)
    {
        a.mov(__qword_ptr[rsp + Called + VcpuArea.Spill0], rax);
        a.mov(__qword_ptr[rsp + Called + VcpuArea.Spill1], rdx);
        KeepFlags(a, Called + VcpuArea.Spill2);
    }

    /// <summary>An address whose entry is missing: another round when that can be filled, or else on to <paramref name="slow"/>.</summary>
    private void FillForString(Assembler a, AssemblerRegister64 address, ref Label miss, bool kernel, bool write, Label loop, Label slow)
    {
        a.Label(ref miss);
        if (_inlineFills)
        {
            a.mov(rcx, address);
            a.call((ulong)StringFill(kernel, write));
            a.test(ecx, ecx);
            a.jnz(loop);
        }
        a.jmp(slow);
    }

    private static void StringEpilog(Assembler a, ref Label slow)
    {
        a.Label(ref slow);
        a.mov(ecx, 1);
        StringReturn(a);
    }

    /// <summary>place = distance of an address's entry from the first of a soft TLB table.</summary>
    private static void PlaceOfEntry(Assembler a, AssemblerRegister32 place, AssemblerRegister32 address)
    {
        a.mov(place, address);
        a.shr(place, VcpuArea.TlbRotation);
        a.and(place, VcpuArea.TlbMaskBits);
    }

    /// <summary>offset = page offset of address when its page is in the table, host = its page; else to slow.</summary>
    private static void Check(Assembler a, AssemblerRegister64 address, AssemblerRegister32 address32,
        AssemblerRegister64 offset, int table, int size, Label slow)
    {
        a.mov(offset, address);
        PlaceOfEntry(a, r11d, address32);
        a.add(offset, __qword_ptr[rsp + r11 + (Called + table)]);
        a.cmp(offset, 4096 - size);
        a.ja(slow);
        a.mov(r11, __qword_ptr[rsp + r11 + (Called + table + VcpuArea.TlbHost)]);
    }

    private void AssembleMovs(Assembler a, int log, bool kernel)
    {
        Label loop = a.CreateLabel(), slow = a.CreateLabel(), work = a.CreateLabel(), noSource = a.CreateLabel(), noTarget = a.CreateLabel();
        StringProlog(a);
        a.Label(ref loop);
        a.mov(rcx, r9);
        a.test(rcx, rcx);
        a.jne(work);
        StringReturn(a);
        a.Label(ref work);
        Check(a, rsi, esi, rcx, VcpuArea.ReadTable(kernel), 1 << log, noSource);
        a.lea(rdx, __[r11 + rcx]);
        a.neg(rcx);
        a.add(rcx, 4096);
        Check(a, rdi, edi, rax, VcpuArea.WriteTable(kernel), 1 << log, noTarget);
        a.add(r11, rax);
        a.neg(rax);
        a.add(rax, 4096);
        a.cmp(rcx, rax);
        a.cmova(rcx, rax);
        a.shr(rcx, (byte)log);
        a.cmp(rcx, r9);
        a.cmova(rcx, r9);
        a.sub(r9, rcx);
        a.lea(rax, __[rsi + rcx * (1 << log)]);
        a.mov(rsi, rdx);
        a.lea(rdx, __[rdi + rcx * (1 << log)]);
        a.mov(rdi, r11);
        switch (log)
        {
            case 0: a.rep.movsb(); break;
            case 1: a.rep.movsw(); break;
            case 2: a.rep.movsd(); break;
            default: a.rep.movsq(); break;
        }
        a.mov(rsi, rax);
        a.mov(rdi, rdx);
        a.jmp(loop);
        FillForString(a, rsi, ref noSource, kernel, write: false, loop, slow);
        FillForString(a, rdi, ref noTarget, kernel, write: true, loop, slow);
        StringEpilog(a, ref slow);
    }

    /// <summary>RCX says whether it is done.</summary>
    private static void StringReturn(Assembler a)
    {
        RestoreFlags(a, Called + VcpuArea.Spill2);
        a.mov(rax, __qword_ptr[rsp + Called + VcpuArea.Spill0]);
        a.mov(rdx, __qword_ptr[rsp + Called + VcpuArea.Spill1]);
        a.ret();
    }

    private void AssembleStos(Assembler a, int log, bool kernel)
    {
        Label loop = a.CreateLabel(), slow = a.CreateLabel(), work = a.CreateLabel(), noTarget = a.CreateLabel();
        StringProlog(a);
        a.Label(ref loop);
        a.mov(rcx, r9);
        a.test(rcx, rcx);
        a.jne(work);
        StringReturn(a);
        a.Label(ref work);
        Check(a, rdi, edi, rcx, VcpuArea.WriteTable(kernel), 1 << log, noTarget);
        a.add(r11, rcx);
        a.neg(rcx);
        a.add(rcx, 4096);
        a.shr(rcx, (byte)log);
        a.cmp(rcx, r9);
        a.cmova(rcx, r9);
        a.sub(r9, rcx);
        a.lea(rdx, __[rdi + rcx * (1 << log)]);
        a.mov(rdi, r11);
        a.mov(rax, __qword_ptr[rsp + Called + VcpuArea.Spill0]);
        switch (log)
        {
            case 0: a.rep.stosb(); break;
            case 1: a.rep.stosw(); break;
            case 2: a.rep.stosd(); break;
            default: a.rep.stosq(); break;
        }
        a.mov(rdi, rdx);
        a.jmp(loop);
        FillForString(a, rdi, ref noTarget, kernel, write: true, loop, slow);
        StringEpilog(a, ref slow);
    }
}
