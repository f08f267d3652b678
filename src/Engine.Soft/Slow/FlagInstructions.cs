using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>PUSHF, POPF, STD, CLD with the rules of ring 3: IF and IOPL never change.</summary>
internal static class FlagInstructions
{
    private const Rflags UserFlags = Rflags.Arithmetic | Rflags.DF | Rflags.TF | Rflags.NT | Rflags.AC | Rflags.ID;

    public static bool Execute(ref SlowInstructions.Context c)
    {
        int bytes = c.I.Mnemonic switch
        {
            Mnemonic.Pushf or Mnemonic.Popf => 2,
            Mnemonic.Pushfd or Mnemonic.Popfd => 4,
            _ => 8,
        };
        switch (c.I.Mnemonic)
        {
            case Mnemonic.Std:
                c.R.Rflags |= (ulong)Rflags.DF;
                return false;
            case Mnemonic.Cld:
                c.R.Rflags &= ~(ulong)Rflags.DF;
                return false;
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq:
                return !c.TryPush(bytes, Visible(c.R.Rflags));
            default:
                if (!c.TryPeek(0, bytes, out ulong value))
                {
                    return true;
                }
                c.Drop(bytes);
                ulong mask = (ulong)UserFlags & (bytes == 2 ? 0xffff : ulong.MaxValue);
                bool stepping = (c.R.Rflags & (ulong)Rflags.TF) != 0;
                c.R.Rflags = Visible((c.R.Rflags & ~mask) | (value & mask));
                return stepping && (c.R.Rflags & (ulong)Rflags.TF) == 0 && Trap(ref c);
        }
    }

    /// <summary>POPF that clears TF still traps after itself.</summary>
    private static bool Trap(ref SlowInstructions.Context c)
    {
        c.R.Rip = c.Next;
        return c.Fault(ExceptionVector.Debug);
    }

    public static ulong Visible(ulong flags) =>
        (flags & ~(ulong)(Rflags.Iopl | Rflags.RF | Rflags.VM)) | (ulong)(Rflags.IF | Rflags.Reserved1);
}
