using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Code that is made after its block: an entry, when the jump cache first is to lead there, and what a site needs when an operand there first
/// turned out to lie in two pages. The site's stub then calls that instead of the exit, and it ends in a stub of its own for what C# has to do
/// all the same.
/// </summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Largest operand that generated code splits.</summary>
    public const int MaxSplitBytes = 64;

    private void BeginAside(TranslationBlock block)
    {
        _key = block.Key;
        _pageVa = block.PageVa;
        _kernel = (_key.Mode & BlockMode.Kernel) != 0;
        _long = (_key.Mode & BlockMode.Long) != 0;
        _temp0Group = _temp1Group = None;
        _pendingStack = 0;
        _w.Reset();
        _external.Clear();
        _siteWords.Clear();
        _cold.Clear();
    }

    private void BeginAtStub(TranslationBlock block, in Site site)
    {
        BeginAside(block);
        _w.Lea64(Rsp, Mem.At(Rsp, CanFill(site) ? 16 : 8)); // the site's word, and what the stub's call pushed
    }

    /// <summary>Gives a block the entry that the jump cache leads to, if there is room.</summary>
    public void TranslateEntry(TranslationBlock block)
    {
        BeginAside(block);
        _entryJump = _entryFrame = 0;
        EmitEntry();
        _external.Add((_w.Jmp(), (nint)block.Local));
        EmitCold();
        PatchEntryFrame();
        block.Entry = FinishAside();
        block.EntryJump = _entryJump;
    }

    /// <summary>The exit of a site, as its first stub was. The address is in spill slot 1, but for a stack group.</summary>
    private void EmitAsideExit(TranslationBlock block, int index)
    {
        ref Site site = ref block.Sites[index];
        bool fills = CanFill(site);
        EmitWordFor(fills ? _routines.Fill(_kernel, site.Write, flagsLive: true) : _routines.Exit, SiteWord.Of(block.Id, index), isCall: fills);
        if (fills)
        {
            _external.Add((_w.Jmp(), (nint)(block.Code + site.Resume)));
        }
    }

    /// <summary>Puts the code into the cache; null when that is full.</summary>
    private byte* FinishAside()
    {
        byte* code = _cache.TryAllocate(_w.Length);
        if (code == null)
        {
            return null;
        }
        foreach ((int field, nint target) in _external)
        {
            _w.PatchInt32(field, (int)(target - ((nint)code + field + 4)));
        }
        _w.Bytes.CopyTo(new System.Span<byte>(code, _w.Length));
        return code;
    }

    /// <summary>
    /// For a group whose range crosses a page: a jump to the ungrouped variant, whose rel32 is at <paramref name="field"/>; the exit, at
    /// <paramref name="fallback"/>, when it does not cross. Touches no flag.
    /// </summary>
    public byte* TranslateCrossing(TranslationBlock block, int siteIndex, out int fallback, out int field)
    {
        ref Site site = ref block.Sites[siteIndex];
        BeginAtStub(block, site);
        EmitBasePlus(site.Register, site.Index, site.Scale, (int)site.Value);
        _w.Store64(Mem.Area(VcpuArea.Spill1), Temp0);
        _w.Pext(Temp0, Temp0, Mem.Area(VcpuArea.PageOffsetMask));
        _w.Lea64(Temp0, Mem.At(Temp0, site.Size - 1));
        _w.Pext(Temp0, Temp0, Mem.Area(VcpuArea.HighMask));
        int within = _w.Jrcxz();
        field = _w.PatchableJmp();
        _w.PatchShort(within);
        fallback = _w.Length;
        EmitAsideExit(block, siteIndex);
        return FinishAside();
    }

    /// <summary>For an access of at most <see cref="MaxSplitBytes"/> bytes: runs the instruction on a copy of its operand.</summary>
    public byte* TranslateSplit(TranslationBlock block, int siteIndex, out int bytes)
    {
        ref Site site = ref block.Sites[siteIndex];
        bytes = 0;
        LoadBytes(block.Key.Frame, block.SecondFrame);
        BeginAtStub(block, site);
        TryDecode(site.Guest, out Instruction i, out _, PageSize + 16);
        int table = site.Write ? VcpuArea.WriteTable(_kernel) : VcpuArea.ReadTable(_kernel);
        if (site.FlagFree)
        {
            _w.Load64(Temp0, Mem.Area(VcpuArea.Spill1));
        }
        else
        {
            EmitCheckedAddress(table);
        }
        _w.MovImm(Temp1, site.Size);
        _external.Add((_w.Call(), (nint)_routines.SplitIn(_kernel, site.Write)));
        int failed = _w.Jrcxz();
        EmitOnCopy(i, site);
        if (site.Write)
        {
            _external.Add((_w.Call(), (nint)_routines.SplitOut));
        }
        _external.Add((_w.Jmp(), (nint)(block.Code + site.After)));
        _w.PatchShort(failed);
        if (!site.FlagFree)
        {
            _w.Load64(Temp0, Mem.Area(VcpuArea.Spill1));
            _w.MovImm(Temp1, 0);
            _w.Add64(Temp0, Mem.Area(table));
        }
        EmitAsideExit(block, siteIndex);
        bytes = _w.Length;
        return FinishAside();
    }

    /// <summary>What the site's instruction does with its operand, which is at TEMP0.</summary>
    private void EmitOnCopy(in Instruction i, in Site site)
    {
        Mem copy = Mem.At(Temp0);
        switch (site.Kind)
        {
            case SiteKind.Load when site.Size == 8:
                _w.Load64(Temp0, copy);
                break;
            case SiteKind.Load when site.Size == 4:
                _w.Load32(Temp0, copy);
                break;
            case SiteKind.Load:
                _w.MovZeroExtend16(Temp0, copy);
                break;
            case SiteKind.Store:
                EmitStoreValue(copy, site.Size, site.Source, site.Register, site.Value);
                break;
            default:
                EmitAccessOnCopy(i, copy);
                break;
        }
    }

    private void EmitAccessOnCopy(in Instruction i, Mem copy)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc when i.GetOpKind(1) == OpKind.Register:
                EmitBitOperation(i, copy, i.MemorySize.GetSize());
                break;
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64:
                EmitSaveStateOperation(i, copy);
                break;
            case Mnemonic.Xlatb:
                _w.Op(false, 0x8a, Rax, copy);
                break;
            case Mnemonic.Mov when InstructionClass.IsSegmentMove(i):
                EmitStoreSegment(i, copy);
                break;
            default:
                EmitOperation(i, MemoryOperand(i), copy);
                break;
        }
    }
}
