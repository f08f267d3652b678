using System;
using System.IO;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.Linux.Interop;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>
/// Turns SIGSEGV, SIGBUS, SIGFPE and SIGILL that hit translated code into an exit: a machine-code handler
/// notes where and why in the vCPU's block and resumes at the fault exit. Anywhere else it goes on to the
/// handler that was there before (the .NET runtime's). No managed code runs in signal context.
/// One code-cache range per process: a domain process runs one domain; tests that make several engines
/// share one growing table of ranges.
/// </summary>
internal static unsafe class HostSignals
{
    private const int SigIll = 4, SigBus = 7, SigFpe = 8, SigSegv = 11;
    private const int MaxRanges = 64;

    // ucontext_t: uc_mcontext.gregs; the trap number is the processor's exception vector.
    private const int ContextRsp = 40 + 15 * 8, ContextRip = 40 + 16 * 8, ContextTrap = 40 + 20 * 8;

    /// <summary>Table read by the handler: {start, end, fault exit}; unused rows have end 0. Never freed.</summary>
    private static ulong* _ranges;

    private static readonly object Gate = new();

    public static void Register(CodeCache cache, byte* faultExit)
    {
        lock (Gate)
        {
            if (_ranges == null)
            {
                Install();
            }
            for (int i = 0; i < MaxRanges; i++)
            {
                if (_ranges[i * 3 + 1] == 0)
                {
                    _ranges[i * 3] = (ulong)cache.Start;
                    _ranges[i * 3 + 2] = (ulong)faultExit;
                    _ranges[i * 3 + 1] = (ulong)cache.End;
                    return;
                }
            }
        }
        throw new InvalidOperationException($"more than {MaxRanges} software engines in one process");
    }

    public static void Unregister(CodeCache cache)
    {
        lock (Gate)
        {
            for (int i = 0; i < MaxRanges; i++)
            {
                if (_ranges[i * 3] == (ulong)cache.Start)
                {
                    _ranges[i * 3 + 1] = 0;
                    _ranges[i * 3] = 0;
                }
            }
        }
    }

    private static void Install()
    {
        byte* page = (byte*)Libc.Mmap(0, 8192, Libc.ProtRead | Libc.ProtWrite | Libc.ProtExec,
            Libc.MapPrivate | Libc.MapAnonymous, -1, 0);
        if ((nint)page == -1)
        {
            throw new InvalidOperationException($"signal handler: mmap: errno {Marshal.GetLastPInvokeError()}");
        }
        ulong* ranges = (ulong*)(page + 4096);
        ulong* previous = ranges + MaxRanges * 3;
        byte* zeroAction = (byte*)(previous + 32);
        byte[] code = Assemble((ulong)page, (ulong)ranges, (ulong)previous, (ulong)zeroAction);
        code.CopyTo(new Span<byte>(page, 4096));
        _ranges = ranges;
        byte* action = stackalloc byte[152], old = stackalloc byte[152];
        foreach (int signal in (ReadOnlySpan<int>)[SigIll, SigBus, SigFpe, SigSegv])
        {
            new Span<byte>(action, 152).Clear();
            *(byte**)action = page;
            *(int*)(action + 136) = 0x0800_0004; // SA_ONSTACK | SA_SIGINFO
            if (Libc.Sigaction(signal, null, old) != 0)
            {
                throw new InvalidOperationException($"sigaction({signal}): errno {Marshal.GetLastPInvokeError()}");
            }
            previous[signal] = *(ulong*)old > 1 ? *(ulong*)old : 0;
            if (Libc.Sigaction(signal, action, null) != 0)
            {
                throw new InvalidOperationException($"sigaction({signal}): errno {Marshal.GetLastPInvokeError()}");
            }
        }
    }

    private static byte[] Assemble(ulong at, ulong ranges, ulong previous, ulong zeroAction)
    {
        var a = new Assembler(64);
        Label next = a.CreateLabel(), chain = a.CreateLabel(), loop = a.CreateLabel(), none = a.CreateLabel();
        a.mov(rax, __qword_ptr[rdx + ContextRip]);
        a.mov(r8, ranges);
        a.mov(ecx, MaxRanges);
        a.Label(ref loop);
        a.cmp(rax, __qword_ptr[r8]);
        a.jb(next);
        a.cmp(rax, __qword_ptr[r8 + 8]);
        a.jae(next);
        a.mov(r9, __qword_ptr[rdx + ContextRsp]);
        a.add(r9, 4095);
        a.and(r9, -4096);
        a.mov(__qword_ptr[r9 + VcpuArea.FaultPc], rax);
        a.mov(__dword_ptr[r9 + VcpuArea.FaultSignal], edi);
        a.mov(eax, __dword_ptr[rdx + ContextTrap]);
        a.mov(__dword_ptr[r9 + VcpuArea.FaultVector], eax);
        a.mov(__qword_ptr[rdx + ContextRsp], r9);
        a.mov(rax, __qword_ptr[r8 + 16]);
        a.mov(__qword_ptr[rdx + ContextRip], rax);
        a.ret();
        a.Label(ref next);
        a.add(r8, 24);
        a.dec(ecx);
        a.jne(loop);
        a.Label(ref chain);
        a.mov(rax, previous);
        a.mov(rax, __qword_ptr[rax + rdi * 8]);
        a.test(rax, rax);
        a.je(none);
        a.jmp(rax);
        a.Label(ref none); // default action: reset it and let the instruction fault again
        a.mov(eax, 13); // rt_sigaction
        a.mov(rsi, zeroAction);
        a.xor(edx, edx);
        a.mov(r10d, 8);
        a.syscall();
        a.ret();
        var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), at);
        return stream.ToArray();
    }
}
