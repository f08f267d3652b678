using System;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Vector instructions whose elements may or may not be accessed: masked moves and gathers.</summary>
internal static class VectorInstructions
{
    private static Span<byte> Ymm(ref SlowInstructions.Context c, Register r) =>
        c.Vcpu.Vector(r >= Register.YMM0 ? r - Register.YMM0 : r - Register.XMM0);

    public static bool Masked(ref SlowInstructions.Context c) => c.I.Mnemonic switch
    {
        Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu => StoreBytes(ref c),
        Mnemonic.Maskmovq => StoreBytes(ref c),
        _ => c.I.GetOpKind(0) == OpKind.Memory ? MaskedStore(ref c) : MaskedLoad(ref c),
    };

    /// <summary>MASKMOVDQU/MASKMOVQ: bytes whose mask byte is negative go to [rdi].</summary>
    private static bool StoreBytes(ref SlowInstructions.Context c)
    {
        Register source = c.I.GetOpRegister(1), mask = c.I.GetOpRegister(2);
        bool mmx = source is >= Register.MM0 and <= Register.MM7;
        int bytes = mmx ? 8 : 16;
        Span<byte> data = stackalloc byte[16], select = stackalloc byte[16];
        if (mmx && c.Vcpu.HasX87Error)
        {
            return c.Fault(ExceptionVector.X87);
        }
        if (mmx)
        {
            c.Vcpu.ReadMmx(source - Register.MM0, data);
            c.Vcpu.ReadMmx(mask - Register.MM0, select);
        }
        else
        {
            Ymm(ref c, source)[..16].CopyTo(data);
            Ymm(ref c, mask)[..16].CopyTo(select);
        }
        bool narrow = !c.Long || c.I.Op0Kind == OpKind.MemorySegEDI;
        ulong at = c.Wrap((narrow ? (uint)c.R[Gpr.Rdi] : c.R[Gpr.Rdi]) + c.SegmentBase(c.I.MemorySegment));
        for (int n = 0; n < bytes; n++)
        {
            if ((select[n] & 0x80) != 0 && !c.Vcpu.CanWrite(at + (ulong)n, 1, c.Kernel, out c.Exit))
            {
                return true;
            }
        }
        for (int n = 0; n < bytes; n++)
        {
            if ((select[n] & 0x80) != 0 && !c.TryWrite(at + (ulong)n, 1, data[n]))
            {
                return true;
            }
        }
        if (mmx)
        {
            c.Vcpu.EnterMmx();
        }
        return false;
    }

    private static int ElementBytes(in Instruction i) =>
        i.Mnemonic is Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq ? 8 : 4;

    private static int VectorBytes(Register r) => r >= Register.YMM0 ? 32 : 16;

    private static bool MaskedLoad(ref SlowInstructions.Context c)
    {
        int size = ElementBytes(c.I), bytes = VectorBytes(c.I.GetOpRegister(0));
        Span<byte> result = stackalloc byte[32];
        result.Clear();
        Span<byte> mask = Ymm(ref c, c.I.GetOpRegister(1));
        ulong at = c.Address();
        for (int n = 0; n < bytes; n += size)
        {
            if ((mask[n + size - 1] & 0x80) != 0)
            {
                if (!c.TryRead(c.Wrap(at + (ulong)n), size, out ulong value))
                {
                    return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
                }
                Put(result[n..], size, value);
            }
        }
        result.CopyTo(Ymm(ref c, c.I.GetOpRegister(0)));
        return false;
    }

    private static bool MaskedStore(ref SlowInstructions.Context c)
    {
        int size = ElementBytes(c.I), bytes = VectorBytes(c.I.GetOpRegister(2));
        Span<byte> mask = Ymm(ref c, c.I.GetOpRegister(1)), data = Ymm(ref c, c.I.GetOpRegister(2));
        ulong at = c.Address();
        for (int pass = 0; pass < 2; pass++)
        {
            for (int n = 0; n < bytes; n += size)
            {
                if ((mask[n + size - 1] & 0x80) == 0)
                {
                    continue;
                }
                ulong va = c.Wrap(at + (ulong)n);
                ulong value = size == 8 ? MemoryMarshal.Read<ulong>(data[n..]) : MemoryMarshal.Read<uint>(data[n..]);
                if (pass == 0 ? !c.Vcpu.CanWrite(va, size, c.Kernel, out c.Exit) : !c.TryWrite(va, size, value))
                {
                    return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
                }
            }
        }
        return false;
    }

    private static void Put(Span<byte> at, int size, ulong value)
    {
        if (size == 8)
        {
            MemoryMarshal.Write(at, value);
        }
        else
        {
            MemoryMarshal.Write(at, (uint)value);
        }
    }

    /// <summary>
    /// VGATHER*/VPGATHER* of AVX2: destination, memory by index vector, mask. Elements are done in order; the mask
    /// shows how far it got when one faults.
    /// </summary>
    public static bool Gather(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        int element = i.Mnemonic is Mnemonic.Vgatherdpd or Mnemonic.Vgatherqpd or Mnemonic.Vpgatherdq
            or Mnemonic.Vpgatherqq ? 8 : 4;
        int indexBytes = i.Mnemonic is Mnemonic.Vgatherqpd or Mnemonic.Vgatherqps or Mnemonic.Vpgatherqq
            or Mnemonic.Vpgatherqd ? 8 : 4;
        int destination = VectorBytes(i.GetOpRegister(0));
        int count = Math.Min(destination / element, VectorBytes(i.MemoryIndex) / indexBytes);
        Span<byte> target = Ymm(ref c, i.GetOpRegister(0)), mask = Ymm(ref c, i.GetOpRegister(2));
        Span<byte> index = stackalloc byte[32];
        Ymm(ref c, i.MemoryIndex).CopyTo(index);
        ulong @base = i.MemoryDisplacement64 + (i.MemoryBase == Register.None ? 0 : c.Register(i.MemoryBase));
        ulong addressMask = i.MemoryBase.IsGPR32() || i.MemoryDisplSize == 4 ? uint.MaxValue : ulong.MaxValue;
        for (int n = 0; n < count; n++)
        {
            if ((mask[n * element + element - 1] & 0x80) == 0)
            {
                continue;
            }
            long offset = indexBytes == 8 ? MemoryMarshal.Read<long>(index[(n * 8)..])
                : MemoryMarshal.Read<int>(index[(n * 4)..]);
            ulong ea = (@base + (ulong)(offset * i.MemoryIndexScale)) & addressMask;
            ulong va = c.Wrap(ea + c.SegmentBase(i.MemorySegment));
            if (!c.TryRead(va, element, out ulong value))
            {
                return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
            }
            Put(target[(n * element)..], element, value);
            mask.Slice(n * element, element).Clear();
        }
        target[(count * element)..].Clear();
        mask.Clear();
        return false;
    }
}
