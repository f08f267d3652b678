using System;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Vector instructions whose elements may or may not be accessed: masked moves and gathers.</summary>
internal static class VectorInstructions
{
    private static Span<byte> Ymm(ref SlowInstructions.Context c, Register r) =>
        c.Vcpu.Vector(Number(r));

    private static int Number(Register r) => (r - Register.XMM0) % 32;

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

    private static int VectorBytes(Register r) => r >= Register.ZMM0 ? 64 : r >= Register.YMM0 ? 32 : 16;

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
        c.Vcpu.ClearAbove256(Number(c.I.GetOpRegister(0)));
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

    /// <summary>Elements of a gather or scatter, and where each lies.</summary>
    private unsafe struct Elements
    {
        public readonly int Bytes, Count;
        private fixed ulong _addresses[16];

        /// <param name="c">the instruction under way</param>
        /// <param name="data">register that is gathered into or scattered</param>
        public Elements(ref SlowInstructions.Context c, Register data)
        {
            ref Instruction i = ref c.I;
            Bytes = i.Mnemonic is Mnemonic.Vgatherdpd or Mnemonic.Vgatherqpd or Mnemonic.Vpgatherdq or Mnemonic.Vpgatherqq
                or Mnemonic.Vscatterdpd or Mnemonic.Vscatterqpd or Mnemonic.Vpscatterdq or Mnemonic.Vpscatterqq ? 8 : 4;
            bool isWideIndex = i.Mnemonic is Mnemonic.Vgatherqpd or Mnemonic.Vgatherqps or Mnemonic.Vpgatherqq or Mnemonic.Vpgatherqd
                or Mnemonic.Vscatterqpd or Mnemonic.Vscatterqps or Mnemonic.Vpscatterqq or Mnemonic.Vpscatterqd;
            Span<byte> index = i.Encoding == EncodingKind.EVEX ? c.Vcpu.WideVector(Number(i.MemoryIndex)) : Ymm(ref c, i.MemoryIndex);
            Count = Math.Min(VectorBytes(data) / Bytes, VectorBytes(i.MemoryIndex) / (isWideIndex ? 8 : 4));
            ulong start = i.MemoryDisplacement64 + (i.MemoryBase == Register.None ? 0 : c.Register(i.MemoryBase));
            ulong mask = i.MemoryBase.IsGPR32() || i.MemoryDisplSize == 4 ? uint.MaxValue : ulong.MaxValue;
            for (int n = 0; n < Count; n++)
            {
                long offset = isWideIndex ? MemoryMarshal.Read<long>(index[(n * 8)..]) : MemoryMarshal.Read<int>(index[(n * 4)..]);
                ulong ea = (start + (ulong)(offset * i.MemoryIndexScale)) & mask;
                _addresses[n] = c.Wrap(ea + c.SegmentBase(i.MemorySegment));
            }
        }

        public readonly ulong AddressOf(int n) => _addresses[n];
    }

    /// <summary>Gathers and scatters. Elements are done in order; the mask shows how far it got when one faults.</summary>
    public static bool Scattered(ref SlowInstructions.Context c) => c.I.Encoding != EncodingKind.EVEX ? Gather(ref c)
        : c.I.GetOpKind(0) == OpKind.Memory ? Scatter(ref c) : GatherByOpmask(ref c);

    /// <summary>VGATHER*/VPGATHER* of AVX2: destination, memory by index vector, mask.</summary>
    private static bool Gather(ref SlowInstructions.Context c)
    {
        Register destination = c.I.GetOpRegister(0), selects = c.I.GetOpRegister(2);
        Elements elements = new(ref c, destination);
        int size = elements.Bytes;
        Span<byte> target = Ymm(ref c, destination), mask = Ymm(ref c, selects);
        for (int n = 0; n < elements.Count; n++)
        {
            if ((mask[n * size + size - 1] & 0x80) == 0)
            {
                continue;
            }
            if (!c.TryRead(elements.AddressOf(n), size, out ulong value))
            {
                return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
            }
            Put(target[(n * size)..], size, value);
            mask.Slice(n * size, size).Clear();
        }
        target[(elements.Count * size)..].Clear();
        mask.Clear();
        c.Vcpu.ClearAbove256(Number(destination));
        c.Vcpu.ClearAbove256(Number(selects));
        return false;
    }

    /// <summary>VGATHER*/VPGATHER* of AVX-512: destination under an opmask, memory by index vector.</summary>
    private static bool GatherByOpmask(ref SlowInstructions.Context c)
    {
        Register destination = c.I.GetOpRegister(0);
        Elements elements = new(ref c, destination);
        int size = elements.Bytes;
        Span<byte> target = c.Vcpu.WideVector(Number(destination));
        ref ulong mask = ref c.Vcpu.Opmask(c.I.OpMask - Register.K0);
        for (int n = 0; n < elements.Count; n++)
        {
            if ((mask >> n & 1) == 0)
            {
                continue;
            }
            if (!c.TryRead(elements.AddressOf(n), size, out ulong value))
            {
                return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
            }
            Put(target[(n * size)..], size, value);
            mask &= ~(1UL << n);
        }
        target[(elements.Count * size)..].Clear();
        mask = 0;
        return false;
    }

    /// <summary>VSCATTER*/VPSCATTER*: memory by index vector under an opmask, source. Of elements at one place the last stays.</summary>
    private static bool Scatter(ref SlowInstructions.Context c)
    {
        Register source = c.I.GetOpRegister(1);
        Elements elements = new(ref c, source);
        int size = elements.Bytes;
        Span<byte> data = c.Vcpu.WideVector(Number(source));
        ref ulong mask = ref c.Vcpu.Opmask(c.I.OpMask - Register.K0);
        for (int n = 0; n < elements.Count; n++)
        {
            if ((mask >> n & 1) == 0)
            {
                continue;
            }
            Span<byte> element = data.Slice(n * size, size);
            ulong value = size == 8 ? MemoryMarshal.Read<ulong>(element) : MemoryMarshal.Read<uint>(element);
            if (!c.TryWrite(elements.AddressOf(n), size, value))
            {
                return !c.Refuse(SlowInstructions.NamesStackSegment(c.I));
            }
            mask &= ~(1UL << n);
        }
        mask = 0;
        return false;
    }
}
