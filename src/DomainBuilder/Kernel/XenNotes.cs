using System;
using System.Buffers.Binary;
using System.Text;
using Ryokan.Xen.Abi;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>What a kernel says about itself in its Xen ELF notes (xen/include/public/elfnote.h).</summary>
internal sealed class XenNotes
{
    /// <summary>VA of the PV entry point, or null: the ELF entry point is it.</summary>
    public ulong? EntryVa { get; private set; }
    public ulong? HypercallPageVa { get; private set; }
    public ulong VirtBaseVa { get; private set; }
    public ulong PaddrOffsetBytes { get; private set; }
    public ulong? InitP2MVa { get; private set; }
    public bool AcceptsModStartPfn { get; private set; }

    private string? _xenVersion;
    private string? _guestOs;
    private string? _loader;
    private bool _any;
    private bool _pvh;

    /// <summary>Takes the notes of one PT_NOTE segment; damaged ones end the walk.</summary>
    public void Add(ReadOnlySpan<byte> notes)
    {
        while (notes.Length >= 12)
        {
            uint nameBytes = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            uint valueBytes = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            ulong valueAt = 12 + (((ulong)nameBytes + 3) & ~3UL);
            ulong end = valueAt + (((ulong)valueBytes + 3) & ~3UL);
            if (valueAt + valueBytes > (ulong)notes.Length)
            {
                return;
            }
            if (nameBytes == 4 && notes.Slice(12, 4).SequenceEqual("Xen\0"u8))
            {
                Take(type, notes.Slice((int)valueAt, (int)valueBytes));
            }
            notes = end < (ulong)notes.Length ? notes[(int)end..] : default;
        }
    }

    private void Take(uint type, ReadOnlySpan<byte> value)
    {
        _any = true;
        switch (type)
        {
            case ElfNote.Entry: EntryVa = Number(value); break;
            case ElfNote.HypercallPage: HypercallPageVa = Number(value); break;
            case ElfNote.VirtBase: VirtBaseVa = Number(value); break;
            case ElfNote.PaddrOffset: PaddrOffsetBytes = Number(value); break;
            case ElfNote.XenVersion: _xenVersion = Text(value); break;
            case ElfNote.GuestOs: _guestOs = Text(value); break;
            case ElfNote.Loader: _loader = Text(value); break;
            case ElfNote.InitP2m: InitP2MVa = Number(value); break;
            case ElfNote.ModStartPfn: AcceptsModStartPfn = Number(value) != 0; break;
            case ElfNote.Phys32Entry: _pvh = true; break;
        }
    }

    /// <summary>Refuses what is no PV kernel of a kind that the builder knows.</summary>
    /// <exception cref="KernelFormatException">with the reason</exception>
    public void RequirePv()
    {
        if (!_any)
        {
            throw new KernelFormatException("no PV kernel: it has no Xen ELF notes (Linux: CONFIG_XEN_PV)");
        }
        if (_xenVersion == null)
        {
            throw new KernelFormatException(_pvh
                ? "no PV kernel: its Xen notes offer only a PVH entry (Linux: CONFIG_XEN_PV)"
                : "no PV kernel: its Xen notes lack XEN_VERSION");
        }
        if (_xenVersion != "xen-3.0")
        {
            throw new KernelFormatException(
                $"its Xen notes ask for '{Shown(_xenVersion)}'; only xen-3.0 is served");
        }
        if (_loader != "generic" && _guestOs == null)
        {
            throw new KernelFormatException("its Xen notes name neither a generic loader nor a guest OS");
        }
    }

    private static ulong Number(ReadOnlySpan<byte> value) => value.Length switch
    {
        >= 8 => BinaryPrimitives.ReadUInt64LittleEndian(value),
        >= 4 => BinaryPrimitives.ReadUInt32LittleEndian(value),
        >= 1 => value[0],
        _ => 0,
    };

    private static string Text(ReadOnlySpan<byte> value)
    {
        int end = value.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? value : value[..end]);
    }

    /// <summary>Text from a file, safe to print: short and without control characters.</summary>
    private static string Shown(string text)
    {
        StringBuilder shown = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, 32)))
        {
            shown.Append(char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' ? c : '?');
        }
        return shown.ToString();
    }
}
