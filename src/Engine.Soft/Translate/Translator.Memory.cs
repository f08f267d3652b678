using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Guest addresses and the soft-TLB check in front of every access.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>register = guest address of a page offset (signed). Touches no flag.</summary>
    private void EmitGuestAddress(int register, long offset)
    {
        if (_pageVa != 0)
        {
            _w.MovImm(register, _pageVa + (ulong)offset);
            return;
        }
        _w.Load64(register, Mem.Area(VcpuArea.CodeBase));
        if (offset != 0)
        {
            var sum = new Mem(register, -1, 1, (int)offset);
            if (_long)
            {
                _w.Lea64(register, sum);
            }
            else
            {
                _w.Lea32(register, sum);
            }
        }
    }

    /// <summary>TEMP0 = guest linear address of the memory operand; uses TEMP1. Touches no flag.</summary>
    private void EmitOperandAddress(in Instruction i, bool withSegment = true)
    {
        if (i.IsIPRelativeMemoryOperand)
        {
            EmitGuestAddress(Temp0, (long)i.MemoryDisplacement64);
            if (i.MemoryBase == Register.EIP)
            {
                _w.Mov32(Temp0, Temp0);
            }
        }
        else
        {
            EmitSum(i);
        }
        if (withSegment)
        {
            EmitSegmentBase(i);
        }
    }

    private void EmitSum(in Instruction i)
    {
        bool narrow = !_long || i.MemoryBase.IsGPR32() || i.MemoryIndex.IsGPR32() || i.MemoryDisplSize == 4 && !_long;
        int @base = AddressRegister(i.MemoryBase, Temp0);
        int index = AddressRegister(i.MemoryIndex, Temp1);
        int displacement = (int)i.MemoryDisplacement64;
        if (@base < 0 && index < 0)
        {
            _w.MovImm(Temp0, narrow ? (uint)displacement : i.MemoryDisplacement64);
            return;
        }
        var sum = new Mem(@base, index, index < 0 ? 1 : i.MemoryIndexScale, displacement);
        if (narrow)
        {
            _w.Lea32(Temp0, sum);
        }
        else if (index < 0 && displacement == 0)
        {
            _w.Mov64(Temp0, @base);
        }
        else
        {
            _w.Lea64(Temp0, sum);
        }
    }

    /// <summary>Host register that holds an address register; loads it into <paramref name="temp"/> when it lives in memory.</summary>
    private int AddressRegister(Register register, int temp)
    {
        if (register == Register.None)
        {
            return -1;
        }
        int guest = GprNumber(register);
        int host = Of(guest);
        if (host < 0)
        {
            _w.Load64(temp, Mem.Area(Slot(guest)));
            return temp;
        }
        return host;
    }

    private void EmitSegmentBase(in Instruction i)
    {
        if (i.MemorySegment is not (Register.FS or Register.GS))
        {
            return; // 32-bit code runs on flat ES, CS, SS, DS: others are refused when loaded
        }
        _w.Load64(Temp1, Mem.Area(BaseSlot(i.MemorySegment)));
        var sum = new Mem(Temp0, Temp1, 1, 0);
        if (_long)
        {
            _w.Lea64(Temp0, sum);
        }
        else
        {
            _w.Lea32(Temp0, sum);
        }
    }

    /// <summary>
    /// Checks <paramref name="site"/>.Size bytes at the guest address in TEMP0 against the soft TLB and returns
    /// the host operand: [TEMP0 + TEMP1], or [TEMP0] when flags had to be kept.
    /// </summary>
    private Mem EmitCheck(ref Site site, int start, bool flagsLive, out int index) =>
        EmitCheck(ref site, start, flagsLive, false, out index);

    /// <summary>The same; with <paramref name="wantPointer"/> TEMP1 = the host address instead.</summary>
    private Mem EmitCheck(ref Site site, int start, bool flagsLive, bool wantPointer, out int index)
    {
        _temp0Group = _temp1Group = None;
        int table = site.Write ? VcpuArea.WriteTable(_kernel) : VcpuArea.ReadTable(_kernel);
        bool losesFlags = flagsLive && _mayLoseFlags;
        site.FlagFree = flagsLive;
        site.Resume = (ushort)start;
        index = AddSite(site);
        if (flagsLive && !losesFlags)
        {
            return EmitFlagFreeCheck(index, table, site.Size, wantPointer);
        }
        _w.Rorx32(Temp1, Temp0, VcpuArea.TlbRotation);
        if (_isLoop)
        {
            _w.And32(Temp1, VcpuArea.TlbMaskBits);
        }
        else
        {
            _w.And32(Temp1, Mem.Area(VcpuArea.TlbMask)); // shorter
        }
        _w.Add64(Temp0, Mem.Area(table, Temp1, 1)); // offset in the page on a hit
        _w.CmpImm64(Temp0, PageSize - site.Size);
        int miss = _w.Jcc(Condition.Above);
        _cold.Add(losesFlags ? new Cold(ColdKind.LostFlagsMiss, miss, index, table, Setter: _setsFlags) : new Cold(ColdKind.Stub, miss, index));
        _flagsAreLost |= losesFlags;
        _w.Load64(Temp1, Mem.Area(table + VcpuArea.TlbHost, Temp1, 1));
        if (wantPointer)
        {
            _w.Lea64(Temp1, new Mem(Temp0, Temp1, 1, 0));
        }
        return new Mem(Temp0, Temp1, 1, 0);
    }

    /// <summary>The same with RORX, PDEP, PEXT, LEA and JRCXZ only; RDX is borrowed.</summary>
    private Mem EmitFlagFreeCheck(int index, int table, int size, bool wantPointer)
    {
        _w.Store64(Mem.Area(VcpuArea.Spill0), Rdx);
        _w.Rorx32(Temp1, Temp0, 12);
        _w.Pdep32(Temp1, Temp1, Mem.Area(VcpuArea.TlbMask)); // the page number's low bits to where the mask has them
        _w.Load64(Rdx, Mem.Area(table, Temp1, 1));
        _w.Lea64(Rdx, new Mem(Temp0, Rdx, 1, 0)); // offset in the page on a hit
        _w.Lea64(Temp0, Mem.At(Rdx, size - 1));
        _w.Pext(Temp0, Temp0, Mem.Area(VcpuArea.HighMask));
        int hit = _w.Jrcxz();
        _cold.Add(new Cold(ColdKind.FlagFreeMiss, _w.Jmp(), index, table));
        _w.PatchShort(hit);
        _w.Load64(Temp0, Mem.Area(table + VcpuArea.TlbHost, Temp1, 1));
        _w.Lea64(wantPointer ? Temp1 : Temp0, new Mem(Temp0, Rdx, 1, 0));
        _w.Load64(Rdx, Mem.Area(VcpuArea.Spill0));
        return new Mem(Temp0, -1, 1, 0);
    }

    /// <summary>Out of line: the address to spill slot 1, RDX as it was.</summary>
    private void EmitFlagFreeMiss(int table)
    {
        _w.Load64(Temp0, Mem.Area(table, Temp1, 1));
        _w.Not64(Temp0);
        _w.Lea64(Temp0, new Mem(Rdx, Temp0, 1, 1));
        _w.Store64(Mem.Area(VcpuArea.Spill1), Temp0);
        _w.Load64(Rdx, Mem.Area(VcpuArea.Spill0));
    }

    /// <summary>Out of line: the address to spill slot 1, flags as the instruction set them that is said to have done so.</summary>
    private void EmitLostFlagsMiss(int table, int setter)
    {
        EmitCheckedAddress(table);
        SetFlagsAgain(setter);
    }

    /// <summary>Spill slot 1 = the address, out of what a check in the table that did not keep flags made of TEMP0.</summary>
    private void EmitCheckedAddress(int table)
    {
        _w.Sub64(Temp0, Mem.Area(table, Temp1, 1));
        _w.Store64(Mem.Area(VcpuArea.Spill1), Temp0);
    }

    /// <summary>TEMP0 = zero-extended guest memory at the address in TEMP0.</summary>
    private void EmitLoad(in Instruction i, int start, int size, bool flagsLive)
    {
        Site site = SiteOf(i, SiteKind.Load, size);
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        switch (size)
        {
            case 8: _w.Load64(Temp0, m); break;
            case 4: _w.Load32(Temp0, m); break;
            default:
                Debug.Require(size == 2, "load size");
                _w.MovZeroExtend16(Temp0, m);
                break;
        }
        SetAfter(index);
    }

    /// <summary>Stores to the guest address in TEMP0; the value is described by the site.</summary>
    private void EmitStore(in Instruction i, int start, int size, bool flagsLive, StoreSource source, int register, long value)
    {
        Site site = SiteOf(i, SiteKind.Store, size);
        site.Write = true;
        site.Source = source;
        site.Register = (byte)register;
        site.Value = (int)value;
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        EmitStoreValue(m, size, source, register, value);
        SetAfter(index);
    }

    private void EmitStoreValue(Mem m, int size, StoreSource source, int register, long value)
    {
        int host = source == StoreSource.Register ? Of(register) : -1;
        if (host < 0 && source != StoreSource.Immediate)
        {
            host = FreeForValue(ref m);
            switch (source)
            {
                case StoreSource.Register: _w.Load64(host, Mem.Area(Slot(register))); break;
                case StoreSource.Spill: _w.Load64(host, Mem.Area(VcpuArea.Spill2)); break;
                default: EmitGuestAddress(host, value); break;
            }
        }
        if (source == StoreSource.Immediate)
        {
            _w.Op(size == 8, 0xc7, 0, m);
            _w.Int32((int)value);
        }
        else if (size == 8)
        {
            _w.Store64(m, host);
        }
        else
        {
            _w.Store32(m, host);
        }
    }

    /// <summary>TEMP0 or TEMP1, for the value that is stored to <paramref name="m"/>, whose address then takes the other alone.</summary>
    private int FreeForValue(ref Mem m)
    {
        if (m.Base != Temp0 && m.Index != Temp0)
        {
            return Temp0;
        }
        _w.Lea64(Temp0, m);
        m = Mem.At(Temp0);
        _temp1Group = None;
        return Temp1;
    }

    private static Site SiteOf(in Instruction i, SiteKind kind, int size) => new()
    {
        Kind = kind, Guest = (int)i.IP, Length = (byte)i.Length, Next = (int)i.IP + i.Length, Size = (ushort)size,
    };

    /// <summary>Bytes that a memory operand covers, from its first one.</summary>
    private static int OperandBytes(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64 =>
            HostState.ImageBytes,
        Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc => i.MemorySize.GetSize(),
        _ => i.MemorySize.GetSize(),
    };

    /// <summary>Number of a general register of any width.</summary>
    internal static int GprNumber(Register register)
    {
        if (register is >= Register.RAX and <= Register.R15)
        {
            return register - Register.RAX;
        }
        if (register is >= Register.EAX and <= Register.R15D)
        {
            return register - Register.EAX;
        }
        if (register is >= Register.AX and <= Register.R15W)
        {
            return register - Register.AX;
        }
        int n = register - Register.AL; // al cl dl bl ah ch dh bh spl bpl sil dil r8l ..
        return n < 4 ? n : n < 8 ? n - 4 : n - 4;
    }
}
