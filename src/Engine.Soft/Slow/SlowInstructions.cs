using System;
using Iced.Intel;
using Ryokan.Engine.Soft.Translate;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>
/// Emulation in C# of what has no faster rule. Every handler checks before it changes anything, so a fault
/// leaves the registers as they were (string instructions: at the last finished element).
/// </summary>
internal static partial class SlowInstructions
{
    /// <summary>Decodes the instruction at an address by the current mode; false when it cannot be fetched.</summary>
    public static bool TryDecode(SoftVcpu vcpu, ulong rip, out Instruction instruction)
    {
        Span<byte> bytes = stackalloc byte[16];
        bool kernel = vcpu.Registers.KernelMode != 0;
        int n = (int)Math.Min(16, 4096 - (rip & 0xfff));
        instruction = default;
        if (!vcpu.FetchVirtual(rip, bytes[..n], kernel))
        {
            return false;
        }
        if (n < 16 && !vcpu.FetchVirtual(rip + (ulong)n, bytes[n..], kernel))
        {
            bytes = bytes[..n];
        }
        vcpu.Decoder.Decode(bytes, vcpu.Registers.LongCode != 0, rip, out instruction);
        return true;
    }

    /// <summary>
    /// Runs the instruction at rip. False: done, rip is where the guest goes on. True: the monitor has to act on
    /// <paramref name="exit"/>.
    /// </summary>
    /// <param name="translated">
    /// The form that was translated. When another vCPU has written another one since (Linux takes an INT3 away again that it patched in),
    /// nothing is done: the guest goes on at the same place, in a translation of what is there now.
    /// </param>
    public static bool Execute(SoftVcpu vcpu, Code translated, ref VcpuExit exit)
    {
        ref VcpuRegisters r = ref vcpu.Registers;
        if (!TryDecode(vcpu, r.Rip, out Instruction i) || i.Code != translated)
        {
            return false; // gone meanwhile: the next fetch faults or finds what is there
        }
        if (r.TaskSwitched != 0 && FloatingPoint.Uses(i))
        {
            exit = VcpuExit.Fault(ExceptionVector.DeviceNotAvailable);
            return true;
        }
        var c = new Context(vcpu, i);
        bool leaves = Dispatch(ref c);
        if (leaves)
        {
            exit = c.Exit;
        }
        else if (!c.RipSet)
        {
            r.Rip = c.Next;
        }
        return leaves;
    }

    /// <summary>Addresses through RSP and RBP; in 64-bit code only FS and GS prefixes change that.</summary>
    public static bool NamesStackSegment(in Instruction i) => i.MemorySegment is not (Register.FS or Register.GS)
        && i.MemoryBase.GetFullRegister() is (Register.RSP or Register.RBP);

    /// <summary>One instruction under way.</summary>
    internal ref struct Context
    {
        public readonly SoftVcpu Vcpu;
        public Instruction I;
        public VcpuExit Exit;
        public bool RipSet;
        public readonly ref VcpuRegisters R;

        public Context(SoftVcpu vcpu, in Instruction i)
        {
            Vcpu = vcpu;
            I = i;
            R = ref vcpu.Registers;
        }

        public readonly bool Kernel => R.KernelMode != 0;
        public readonly bool Long => R.LongCode != 0;
        public readonly ulong Next => Wrap(R.Rip + (ulong)I.Length);

        public readonly ulong Wrap(ulong va) => Long ? va : (uint)va;

        public bool Fault(ExceptionVector vector)
        {
            Exit = VcpuExit.Fault(vector);
            return true;
        }

        public bool Fault(ExceptionVector vector, uint code)
        {
            Exit = VcpuExit.Fault(vector, code);
            return true;
        }

        public bool Privileged(PrivilegedOperation operation)
        {
            Exit = new VcpuExit { Kind = ExitKind.Privileged, Operation = operation, Length = (byte)I.Length };
            return true;
        }

        public void Jump(ulong target)
        {
            R.Rip = target;
            RipSet = true;
        }

        public bool TryRead(ulong va, int bytes, out ulong value)
        {
            Span<byte> buffer = stackalloc byte[8];
            buffer.Clear();
            bool ok = Vcpu.ReadVirtual(va, buffer[..bytes], Kernel, out Exit);
            value = BitConverter.ToUInt64(buffer);
            return ok;
        }

        public bool TryWrite(ulong va, int bytes, ulong value)
        {
            Span<byte> buffer = stackalloc byte[8];
            BitConverter.TryWriteBytes(buffer, value);
            return Vcpu.WriteVirtual(va, buffer[..bytes], Kernel, out Exit);
        }

        public readonly ulong Register(Register register)
        {
            ulong full = R.Gpr[Translator.GprNumber(register)];
            return register.IsGPR64() ? full : register.IsGPR32() ? (uint)full : register.IsGPR16() ? (ushort)full
                : register is >= Iced.Intel.Register.AH and <= Iced.Intel.Register.BH ? (byte)(full >> 8) : (byte)full;
        }

        public void SetRegister(Register register, ulong value)
        {
            ref ulong full = ref R.Gpr[Translator.GprNumber(register)];
            if (register.IsGPR64())
            {
                full = value;
            }
            else if (register.IsGPR32())
            {
                full = (uint)value;
            }
            else if (register.IsGPR16())
            {
                full = (full & ~0xffffUL) | (ushort)value;
            }
            else if (register is >= Iced.Intel.Register.AH and <= Iced.Intel.Register.BH)
            {
                full = (full & ~0xff00UL) | (ulong)(byte)value << 8;
            }
            else
            {
                full = (full & ~0xffUL) | (byte)value;
            }
        }

        public readonly ulong SegmentBase(Register segment) => segment switch
        {
            Iced.Intel.Register.FS => R.FsBase,
            Iced.Intel.Register.GS => R.GsBase,
            _ => 0,
        };

        /// <summary>Linear address of the explicit memory operand.</summary>
        public readonly ulong Address()
        {
            ulong sum = I.MemoryDisplacement64;
            if (!I.IsIPRelativeMemoryOperand)
            {
                if (I.MemoryBase != Iced.Intel.Register.None)
                {
                    sum += Register(I.MemoryBase);
                }
                if (I.MemoryIndex != Iced.Intel.Register.None)
                {
                    sum += Register(I.MemoryIndex) * (ulong)I.MemoryIndexScale;
                }
            }
            if (!Long || I.MemoryBase.IsGPR32() || I.MemoryIndex.IsGPR32())
            {
                sum = (uint)sum;
            }
            return Wrap(sum + SegmentBase(I.MemorySegment));
        }

        /// <summary>Value of operand n (register, memory of the given size, or immediate).</summary>
        public bool TryOperand(int n, int bytes, out ulong value)
        {
            switch (I.GetOpKind(n))
            {
                case OpKind.Register:
                    value = IsSegment(I.GetOpRegister(n)) ? R.Selectors[I.GetOpRegister(n) - Iced.Intel.Register.ES]
                        : Register(I.GetOpRegister(n));
                    return true;
                case OpKind.Memory:
                    return TryRead(Address(), bytes, out value) || Refuse(NamesStackSegment(I));
                default:
                    value = I.GetImmediate(n);
                    return true;
            }
        }

        public bool TrySetOperand(int n, int bytes, ulong value)
        {
            if (I.GetOpKind(n) == OpKind.Memory)
            {
                return TryWrite(Address(), bytes, value) || Refuse(NamesStackSegment(I));
            }
            SetRegister(I.GetOpRegister(n), value);
            return true;
        }

        /// <summary>An address of the stack segment that is not canonical is #SS, not #GP. Always false.</summary>
        public bool Refuse(bool stackSegment)
        {
            if (stackSegment && Exit.Vector == (byte)ExceptionVector.GeneralProtection)
            {
                Exit.Vector = (byte)ExceptionVector.StackFault;
            }
            return false;
        }

        private readonly ulong StackMask => Long ? ulong.MaxValue : uint.MaxValue;

        public bool TryPush(int bytes, ulong value)
        {
            ulong rsp = (R[Gpr.Rsp] - (ulong)bytes) & StackMask;
            if (!TryWrite(rsp, bytes, value))
            {
                return Refuse(true);
            }
            R[Gpr.Rsp] = rsp;
            return true;
        }

        /// <summary>Reads the stack at a depth without moving the pointer.</summary>
        public bool TryPeek(int depth, int bytes, out ulong value) =>
            TryRead((R[Gpr.Rsp] + (ulong)depth) & StackMask, bytes, out value) || Refuse(true);

        public readonly void Drop(int bytes) => R[Gpr.Rsp] = (R[Gpr.Rsp] + (ulong)bytes) & StackMask;

        public static bool IsSegment(Register r) => r is >= Iced.Intel.Register.ES and <= Iced.Intel.Register.GS;
    }

    private static bool Dispatch(ref Context c)
    {
        ref Instruction i = ref c.I;
        if (i.IsStringInstruction && i.Mnemonic is not (Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd
            or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd))
        {
            return StringInstructions.Execute(ref c);
        }
        switch (i.Mnemonic)
        {
            case Mnemonic.Ud2:
                return ForcedCpuid(ref c);
            case Mnemonic.Cpuid:
                return c.Privileged(PrivilegedOperation.Cpuid);
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq
                or Mnemonic.Std or Mnemonic.Cld:
                return FlagInstructions.Execute(ref c);
            case Mnemonic.Push or Mnemonic.Pop or Mnemonic.Enter or Mnemonic.Leave or Mnemonic.Pusha or Mnemonic.Pushad
                or Mnemonic.Popa or Mnemonic.Popad or Mnemonic.Bound:
                return StackInstructions.Execute(ref c);
            case Mnemonic.Mov or Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss
                or Mnemonic.Lsl or Mnemonic.Lar or Mnemonic.Verr or Mnemonic.Verw or Mnemonic.Sgdt or Mnemonic.Sidt
                or Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Smsw or Mnemonic.Arpl:
                return SegmentInstructions.Execute(ref c);
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq or Mnemonic.Retf or Mnemonic.Jmp or Mnemonic.Call
                or Mnemonic.Ret or Mnemonic.Int or Mnemonic.Int1 or Mnemonic.Int3 or Mnemonic.Into or Mnemonic.Sysenter
                or Mnemonic.Jcxz or Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne:
                return FarInstructions.Execute(ref c);
            case Mnemonic.Aaa or Mnemonic.Aas or Mnemonic.Aam or Mnemonic.Aad or Mnemonic.Daa or Mnemonic.Das or Mnemonic.Salc:
                return DecimalInstructions.Execute(ref c);
            case Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu or Mnemonic.Maskmovq or Mnemonic.Vmaskmovps
                or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq:
                return VectorInstructions.Masked(ref c);
            default:
                return i.IsVsib ? VectorInstructions.Scattered(ref c) : PrivilegedInstructions.Execute(ref c);
        }
    }

    /// <summary>UD2 "xen" CPUID (Xen's forced emulation prefix); anything else is #UD at the UD2.</summary>
    private static bool ForcedCpuid(ref Context c)
    {
        Span<byte> tail = stackalloc byte[5];
        bool forced = c.Vcpu.FetchVirtual(c.R.Rip + 2, tail, c.Kernel)
            && tail.SequenceEqual((ReadOnlySpan<byte>)[0x78, 0x65, 0x6e, 0x0f, 0xa2]);
        if (!forced)
        {
            return c.Fault(ExceptionVector.InvalidOpcode);
        }
        c.Privileged(PrivilegedOperation.Cpuid);
        c.Exit.Length = 7;
        c.Exit.Forced = true;
        return true;
    }
}
