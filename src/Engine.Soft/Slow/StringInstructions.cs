using System;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>
/// MOVS, STOS, LODS, CMPS, SCAS with and without REP. Registers move element by element, so a fault in the middle
/// leaves them at the element that faulted. Long ones stop at page ends to look for kicks.
/// </summary>
internal static class StringInstructions
{
    private const int ElementsPerRound = 4096;

    public static bool Execute(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        int bytes = i.Mnemonic switch
        {
            Mnemonic.Movsb or Mnemonic.Stosb or Mnemonic.Lodsb or Mnemonic.Cmpsb or Mnemonic.Scasb => 1,
            Mnemonic.Movsw or Mnemonic.Stosw or Mnemonic.Lodsw or Mnemonic.Cmpsw or Mnemonic.Scasw => 2,
            Mnemonic.Movsd or Mnemonic.Stosd or Mnemonic.Lodsd or Mnemonic.Cmpsd or Mnemonic.Scasd => 4,
            _ => 8,
        };
        bool narrow = IsNarrow(i);
        ulong mask = narrow ? uint.MaxValue : ulong.MaxValue;
        bool repeat = i.HasRepPrefix || i.HasRepnePrefix;
        for (int round = 0; round < ElementsPerRound; round++)
        {
            if (repeat && (c.R[Gpr.Rcx] & mask) == 0)
            {
                return false;
            }
            if (repeat && !narrow && Bulk(ref c, bytes))
            {
                continue;
            }
            if (!Element(ref c, bytes, mask, out bool stop))
            {
                return true;
            }
            if (!repeat)
            {
                return false;
            }
            c.R[Gpr.Rcx] = (c.R[Gpr.Rcx] - 1) & mask;
            if (stop)
            {
                return false;
            }
        }
        c.Jump(c.R.Rip); // more to do: look for kicks first
        return false;
    }

    private static bool IsNarrow(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) is OpKind.MemoryESEDI or OpKind.MemorySegESI or OpKind.MemoryESDI or OpKind.MemorySegSI)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Forward MOVS or STOS within single pages: many elements at once. False when it does not apply.</summary>
    private static unsafe bool Bulk(ref SlowInstructions.Context c, int bytes)
    {
        bool move = c.I.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsq
            || c.I.Code is Code.Movsd_m32_m32;
        bool store = c.I.Mnemonic is Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq;
        if ((!move && !store) || (c.R.Rflags & (ulong)Rflags.DF) != 0)
        {
            return false;
        }
        ulong to = c.R[Gpr.Rdi];
        ulong room = GuestFrames.PageSize - (to & 0xfff);
        ulong from = c.R[Gpr.Rsi] + c.SegmentBase(c.I.MemorySegment);
        if (move)
        {
            room = Math.Min(room, GuestFrames.PageSize - (from & 0xfff));
        }
        ulong count = Math.Min(room / (ulong)bytes, c.R[Gpr.Rcx]);
        if (count == 0)
        {
            return false;
        }
        int length = (int)(count * (ulong)bytes);
        Span<byte> buffer = stackalloc byte[GuestFrames.PageSize];
        buffer = buffer[..length];
        if (move)
        {
            // an overlapping forward move repeats its start: element by element
            if ((to - from < (ulong)length) || !c.Vcpu.ReadVirtual(from, buffer, c.Kernel, out _))
            {
                return false;
            }
            ulong at = from, target = to;
            if (c.Vcpu.SamePage(at, target, c.Kernel))
            {
                return false;
            }
        }
        else
        {
            Fill(buffer, bytes, c.R[Gpr.Rax]);
        }
        if (!c.Vcpu.WriteVirtual(to, buffer, c.Kernel, out _))
        {
            return false;
        }
        c.R[Gpr.Rdi] += (ulong)length;
        c.R[Gpr.Rsi] += move ? (ulong)length : 0;
        c.R[Gpr.Rcx] -= count;
        return true;
    }

    private static void Fill(Span<byte> buffer, int bytes, ulong value)
    {
        switch (bytes)
        {
            case 1: buffer.Fill((byte)value); break;
            case 2: MemoryMarshal.Cast<byte, ushort>(buffer).Fill((ushort)value); break;
            case 4: MemoryMarshal.Cast<byte, uint>(buffer).Fill((uint)value); break;
            default: MemoryMarshal.Cast<byte, ulong>(buffer).Fill(value); break;
        }
    }

    private static bool Element(ref SlowInstructions.Context c, int bytes, ulong mask, out bool stop)
    {
        stop = false;
        ulong step = (c.R.Rflags & (ulong)Rflags.DF) != 0 ? (ulong)-bytes : (ulong)bytes;
        ulong source = c.Wrap((c.R[Gpr.Rsi] & mask) + c.SegmentBase(c.I.MemorySegment));
        ulong target = c.R[Gpr.Rdi] & mask;
        ulong value;
        switch (c.I.Mnemonic)
        {
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq:
                if (!c.TryRead(source, bytes, out value) || !c.TryWrite(target, bytes, value))
                {
                    return false;
                }
                Advance(ref c, Gpr.Rsi, step, mask);
                Advance(ref c, Gpr.Rdi, step, mask);
                return true;
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                if (!c.TryWrite(target, bytes, c.R[Gpr.Rax]))
                {
                    return false;
                }
                Advance(ref c, Gpr.Rdi, step, mask);
                return true;
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq:
                if (!c.TryRead(source, bytes, out value))
                {
                    return false;
                }
                c.SetRegister(bytes switch { 1 => Register.AL, 2 => Register.AX, 4 => Register.EAX, _ => Register.RAX }, value);
                Advance(ref c, Gpr.Rsi, step, mask);
                return true;
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq:
                if (!c.TryRead(target, bytes, out value))
                {
                    return false;
                }
                stop = Compare(ref c, c.R[Gpr.Rax], value, bytes);
                Advance(ref c, Gpr.Rdi, step, mask);
                return true;
            default:
                if (!c.TryRead(source, bytes, out ulong first) || !c.TryRead(target, bytes, out value))
                {
                    return false;
                }
                stop = Compare(ref c, first, value, bytes);
                Advance(ref c, Gpr.Rsi, step, mask);
                Advance(ref c, Gpr.Rdi, step, mask);
                return true;
        }
    }

    private static void Advance(ref SlowInstructions.Context c, Gpr register, ulong step, ulong mask)
    {
        ulong sum = c.R[register] + step;
        c.R[register] = mask == uint.MaxValue ? (uint)sum : sum;
    }

    /// <summary>Sets the flags of first - second; true when the repeat condition ends the loop.</summary>
    private static bool Compare(ref SlowInstructions.Context c, ulong first, ulong second, int bytes)
    {
        c.R.Rflags = (c.R.Rflags & ~(ulong)Rflags.Arithmetic) | Flags.OfSubtraction(first, second, bytes);
        bool equal = (c.R.Rflags & (ulong)Rflags.ZF) != 0;
        return c.I.HasRepnePrefix ? equal : c.I.HasRepPrefix && !equal;
    }
}

internal static class Flags
{
    /// <summary>Arithmetic flags of a - b (Intel SDM vol. 1, 3.4.3.1).</summary>
    public static ulong OfSubtraction(ulong a, ulong b, int bytes)
    {
        int bits = bytes * 8;
        ulong mask = bits == 64 ? ulong.MaxValue : (1UL << bits) - 1;
        a &= mask;
        b &= mask;
        ulong d = (a - b) & mask;
        Rflags f = 0;
        f |= a < b ? Rflags.CF : 0;
        f |= d == 0 ? Rflags.ZF : 0;
        f |= (d >> (bits - 1) & 1) != 0 ? Rflags.SF : 0;
        f |= ((a ^ b) & (a ^ d)) >> (bits - 1) != 0 ? Rflags.OF : 0;
        f |= ((a ^ b ^ d) & 0x10) != 0 ? Rflags.AF : 0;
        f |= (System.Numerics.BitOperations.PopCount((byte)d) & 1) == 0 ? Rflags.PF : 0;
        return (ulong)f;
    }
}
