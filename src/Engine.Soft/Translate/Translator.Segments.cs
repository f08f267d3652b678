using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// MOV from a segment register, and MOV of a null selector to ES, DS, FS or GS: what a kernel does at every switch of tasks. Descriptors are
/// for C#.
/// </summary>
internal sealed unsafe partial class Translator
{
    private static int SelectorSlot(Register segment) => VcpuArea.Selectors + 2 * (segment - Register.ES);

    private void EmitSegmentMove(in Instruction i, bool flagsLive)
    {
        if (IsSegmentOperand(i))
        {
            EmitLoadSegment(i, flagsLive);
        }
        else if (i.GetOpKind(0) == OpKind.Register)
        {
            EmitReadSegment(i.GetOpRegister(0), SelectorSlot(i.GetOpRegister(1)));
        }
        else
        {
            int start = _w.Length;
            EmitOperandAddress(i);
            Site site = SiteOf(i, SiteKind.Access, OperandBytes(i));
            site.Write = true;
            Mem m = EmitCheck(ref site, start, flagsLive, out int index);
            EmitStoreSegment(i, m);
            SetAfter(index);
        }
    }

    private void EmitReadSegment(Register target, int selector)
    {
        int guest = GprNumber(target), host = Of(guest);
        if (target >= Register.EAX)
        {
            _w.MovZeroExtend16(host >= 0 ? host : Temp0, Mem.Area(selector));
            StoreGuest(host >= 0 ? host : Temp0, guest);
        }
        else if (host >= 0)
        {
            _w.Load16(host, Mem.Area(selector));
        }
        else
        {
            _w.MovZeroExtend16(Temp0, Mem.Area(selector));
            _w.Store16(Mem.Area(Slot(guest)), Temp0);
        }
    }

    private void EmitStoreSegment(in Instruction i, Mem m)
    {
        int host = FreeForValue(ref m);
        _w.MovZeroExtend16(host, Mem.Area(SelectorSlot(i.GetOpRegister(1))));
        _w.Store16(m, host);
    }

    /// <summary>A null selector is always taken, and makes the base 0 (<see cref="Slow.SegmentInstructions"/>).</summary>
    private void EmitLoadSegment(in Instruction i, bool flagsLive)
    {
        if (i.GetOpKind(1) == OpKind.Register)
        {
            LoadGuest(Temp0, GprNumber(i.GetOpRegister(1)));
        }
        else
        {
            int start = _w.Length;
            EmitOperandAddress(i);
            EmitLoad(i, start, OperandBytes(i), flagsLive);
        }
        Register segment = i.GetOpRegister(0);
        _w.Mov64(Temp1, Temp0);
        _w.MovImm(Temp0, 0xfffc); // all but the requested privilege level
        _w.PextRegister(Temp0, Temp1, Temp0);
        int isNull = _w.Jrcxz();
        EmitSlow(i);
        _w.PatchShort(isNull);
        _w.Store16(Mem.Area(SelectorSlot(segment)), Temp1);
        _w.Store64(Mem.Area(BaseSlot(segment)), Temp0);
    }

    private static int BaseSlot(Register segment) => segment switch
    {
        Register.ES => VcpuArea.EsBase,
        Register.DS => VcpuArea.DsBase,
        Register.FS => VcpuArea.FsBase,
        _ => VcpuArea.GsBase,
    };
}
