using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Jumps: links inside the page, the jump cache for everything else.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>
    /// Jumps to the guest address in TEMP0 by way of the jump cache. Touches no flag. A kick makes the index
    /// mask zero, and entry 0 never matches, so this is also a poll.
    /// </summary>
    private void EmitJumpCache()
    {
        _w.Pext32(Temp1, Temp0, Mem.Area(VcpuArea.JumpMaskNow));
        _w.JmpMem(Mem.Area(VcpuArea.JumpTable(_kernel), Temp1, 8)); // which checks that it was meant: EmitEntry
    }

    /// <summary>Goes on at a page offset, unconditionally. <paramref name="from"/>: offset of the jump.</summary>
    /// <param name="byCache">no link: the instruction there goes on in the next page, which may be another one each time</param>
    private void EmitDirectExit(long target, int from, bool flagsLive, bool byCache = false)
    {
        if (byCache || (!CanLink(target) && !CanLinkFar))
        {
            EmitGuestAddress(Temp0, target);
            EmitJumpCache();
            return;
        }
        if (_isLoop && target == _key.Offset)
        {
            _w.PatchRelative(_w.Jmp(), _loopHead);
            return;
        }
        if (target <= from || (OwesPoll && from >= 0))
        {
            EmitPoll((int)target, flagsLive);
        }
        if (CanLink(target))
        {
            AddLink(_w.PatchableJmp(), target, from);
            return;
        }
        EmitGuestAddress(Temp0, target & ~(PageSize - 1L));
        EmitFarLink(target, from);
    }

    /// <param name="field">field of the jump that the link is to patch</param>
    private void AddLink(int field, long target, int from) =>
        _cold.Add(new Cold(ColdKind.Link, field, AddSite(new Site { Kind = SiteKind.Link, Guest = from, Next = (int)target })));

    private bool CanLinkOut => _options.Chaining && _long && (_key.Mode & BlockMode.SingleStep) == 0;

    /// <summary>
    /// Links lead to anywhere in the page, and those of 64-bit kernel code to other pages too, as long as both are in the upper half of the address space,
    /// which all address spaces share: the engine takes such links back when their pages move.
    /// </summary>
    private bool CanLink(long target) => IsInPage(target)
        || (CanLinkOut && _kernel && (long)_pageVa < 0 && (long)_pageVa + target < 0 && target == (int)target);

    private bool CanLinkFar => CanLinkOut && _pageVa == 0 && _frames.TotalFrames < VcpuArea.MostCodeFrames;

    /// <summary>
    /// From user code to another page, whose address is in TEMP0. When that page is the frame that the link was made for, this goes straight
    /// there; else by way of the jump cache. Touches no flag.
    /// </summary>
    private void EmitFarLink(long target, int from)
    {
        _w.Pext32(Temp1, Temp0, Mem.Area(VcpuArea.CodePageMask));
        _w.Store64(Mem.Area(VcpuArea.CodeBase), Temp0);
        _w.Load64(Temp1, Mem.Area(VcpuArea.CodePages, Temp1, 8));
        int frame = _w.PatchableLea(Temp0, Temp0, Temp1, Unlinked);
        int linked = _w.Jrcxz();
        int other = _w.PatchableJmp();
        _w.PatchShort(linked);
        int field = _w.PatchableJmp();
        int site = AddSite(new Site { Kind = SiteKind.FarLink, Guest = from, Next = (int)target, Field = field, Resume = (ushort)frame, After = (ushort)other });
        _cold.Add(new Cold(ColdKind.FarLink, field, site));
    }

    /// <summary>In the place of minus a frame: no page goes with it.</summary>
    public const int Unlinked = 1;

    /// <summary>Out of line: the stub that makes the link, and the way for other frames.</summary>
    private void EmitFarLinkSide(int index)
    {
        ref Site site = ref _sites[index];
        EmitStub(index);
        _w.PatchRelative(site.After, site.Stub);
        _w.PatchRelative(site.Field, site.Stub);
        site.Value = _w.Length;
        EmitGuestAddress(Temp0, site.Next & 0xfff);
        EmitJumpCache();
    }

    private static bool IsInPage(long offset) => offset is >= 0 and < PageSize;

    private Cold ExitFrom(int field, in Instruction i, long target, bool flagsLive) =>
        new(ColdKind.Exit, field, Target: (int)target, Poll: target <= (long)i.IP || OwesPoll, FlagsLive: flagsLive);

    /// <summary>Leaves when the kick flag is set; goes on at the target then.</summary>
    private void EmitPoll(int target, bool flagsLive)
    {
        int site = AddSite(new Site { Kind = SiteKind.Poll, Guest = target, Next = target });
        if (flagsLive)
        {
            _w.Load32(Temp0, Mem.Area(VcpuArea.KickFlag));
            int quiet = _w.Jrcxz();
            _cold.Add(new Cold(ColdKind.Stub, _w.Jmp(), site));
            _w.PatchShort(quiet);
            return;
        }
        _w.CmpMem32Imm8(Mem.Area(VcpuArea.KickFlag), 0);
        _cold.Add(new Cold(ColdKind.Stub, _w.Jcc(Condition.NotEqual), site));
    }

    /// <summary>Out-of-line code: miss stubs, link stubs, far sides of conditional branches.</summary>
    private void EmitCold()
    {
        for (int n = 0; n < _cold.Count; n++) // grows while it runs
        {
            Cold cold = _cold[n];
            _w.PatchRelative(cold.Field, _w.Length);
            switch (cold.Kind)
            {
                case ColdKind.Stub:
                    EmitMissStub(cold.Site);
                    break;
                case ColdKind.Link:
                    _sites[cold.Site].Field = cold.Field;
                    EmitStub(cold.Site);
                    break;
                case ColdKind.FarLink:
                    EmitFarLinkSide(cold.Site);
                    break;
                case ColdKind.StackMiss:
                    if (cold.Setter != None)
                    {
                        SetFlagsAgain(cold.Setter);
                    }
                    EmitStackMiss(cold.Site);
                    break;
                case ColdKind.FlagFreeMiss:
                    EmitFlagFreeMiss(cold.Target);
                    EmitMissStub(cold.Site);
                    break;
                case ColdKind.LostFlagsMiss:
                    EmitLostFlagsMiss(cold.Target, cold.Setter);
                    EmitMissStub(cold.Site);
                    break;
                case ColdKind.Wake:
                    _external.Add((_w.Call(), (nint)_routines.WakeBeyondAvx));
                    _w.PatchRelative(_w.Jmp(), cold.Field + 4);
                    break;
                case ColdKind.EntryMiss:
                    EmitGuestAddress(Temp0, _key.Offset);
                    _external.Add((_w.Jmp(), (nint)_routines.JumpMiss(false)));
                    break;
                default:
                    EmitDirectExit(cold.Target, cold.Poll ? int.MaxValue : -1, cold.FlagsLive);
                    break;
            }
        }
    }

    /// <summary>The taken side of a conditional branch whose condition is in the flags.</summary>
    private void EmitTaken(int n, in Instruction i, Condition condition)
    {
        if (_turned[n])
        {
            long behind = (long)i.IP + i.Length;
            EmitTaken(i, (Condition)((int)condition ^ 1), behind, !_options.FlagLiveness || LiveAt((int)behind) != 0);
        }
        else
        {
            EmitTaken(i, condition, Target(i), LiveAtTarget(i) != 0);
        }
    }

    private void EmitTaken(in Instruction i, Condition condition, long target, bool flagsLive)
    {
        if (_isLoop && target == _key.Offset)
        {
            _w.PatchRelative(_w.Jcc(condition), _loopHead);
            return;
        }
        if (CanLink(target) && target > (long)i.IP && !OwesPoll)
        {
            AddLink(_w.PatchableJcc(condition), target, (int)i.IP);
            return;
        }
        _cold.Add(ExitFrom(_w.Jcc(condition), i, target, flagsLive));
    }

    private void EmitConditional(int n, in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Jcxz:
                EmitSlow(i);
                return;
            case Mnemonic.Jecxz or Mnemonic.Jrcxz:
                EmitCounter(i);
                EmitUnless(i, _w.Jrcxz());
                break;
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne:
                EmitLoop(i);
                break;
            default:
                EmitTaken(n, i, (Condition)((int)i.ConditionCode switch
                {
                    (int)ConditionCode.o => 0, (int)ConditionCode.no => 1, (int)ConditionCode.b => 2,
                    (int)ConditionCode.ae => 3, (int)ConditionCode.e => 4, (int)ConditionCode.ne => 5,
                    (int)ConditionCode.be => 6, (int)ConditionCode.a => 7, (int)ConditionCode.s => 8,
                    (int)ConditionCode.ns => 9, (int)ConditionCode.p => 10, (int)ConditionCode.np => 11,
                    (int)ConditionCode.l => 12, (int)ConditionCode.ge => 13, (int)ConditionCode.le => 14,
                    _ => 15,
                }));
                break;
        }
        if (n == _count - 1 && !_flowsOut)
        {
            EmitDirectExit((int)i.IP + i.Length, (int)i.IP, true);
        }
    }

    /// <summary>RCX = the counter of JRCXZ and LOOP, by address size.</summary>
    private void EmitCounter(in Instruction i)
    {
        if (IsNarrowCounter(i))
        {
            _w.Mov32(Rcx, GuestRcx);
        }
        else
        {
            _w.Mov64(Rcx, GuestRcx);
        }
    }

    private static bool IsNarrowCounter(in Instruction i) => i.Code is Iced.Intel.Code.Jecxz_rel8_32
        or Iced.Intel.Code.Jecxz_rel8_64 or Iced.Intel.Code.Jecxz_rel8_16
        or Iced.Intel.Code.Loop_rel8_32_ECX or Iced.Intel.Code.Loop_rel8_64_ECX
        or Iced.Intel.Code.Loope_rel8_32_ECX or Iced.Intel.Code.Loope_rel8_64_ECX
        or Iced.Intel.Code.Loopne_rel8_32_ECX or Iced.Intel.Code.Loopne_rel8_64_ECX;

    /// <summary>Branch taken when the short jump before jumps: it lands on a jump to the taken side.</summary>
    private void EmitUnless(in Instruction i, int takenField)
    {
        int over = _w.JmpShort();
        _w.PatchShort(takenField);
        EmitFarSide(i);
        _w.PatchShort(over);
    }

    private void EmitFarSide(in Instruction i)
    {
        _cold.Add(ExitFrom(_w.Jmp(), i, Target(i), true));
    }

    private void EmitLoop(in Instruction i)
    {
        if (IsNarrowCounter(i))
        {
            _w.Lea32(GuestRcx, Mem.At(GuestRcx, -1));
        }
        else
        {
            _w.Lea64(GuestRcx, Mem.At(GuestRcx, -1));
        }
        _w.Mov64(Rcx, GuestRcx);
        int zero = _w.Jrcxz();
        int other = i.Mnemonic switch
        {
            Mnemonic.Loope => _w.JccShort(Condition.NotEqual),
            Mnemonic.Loopne => _w.JccShort(Condition.Equal),
            _ => -1,
        };
        EmitFarSide(i);
        _w.PatchShort(zero);
        if (other >= 0)
        {
            _w.PatchShort(other);
        }
    }

    private void EmitJump(int n, in Instruction i)
    {
        switch (i.FlowControl)
        {
            case FlowControl.UnconditionalBranch:
                if (n == _count - 1 && !_flowsOut)
                {
                    EmitDirectExit(Target(i), (int)i.IP, _liveIn[n] != 0);
                }
                break; // else translation went on at the target
            default:
                EmitIndirectTarget(i, _liveIn[n] != 0);
                RestoreFlags();
                EmitJumpCache();
                break;
        }
    }

    /// <summary>TEMP0 = target of an indirect near jump or call.</summary>
    private void EmitIndirectTarget(in Instruction i, bool flagsLive)
    {
        if (i.GetOpKind(0) == OpKind.Register)
        {
            LoadGuest(Temp0, GprNumber(i.GetOpRegister(0)));
            if (!_long)
            {
                _w.Mov32(Temp0, Temp0);
            }
            return;
        }
        EmitOperandLoad(i, flagsLive);
    }
}
