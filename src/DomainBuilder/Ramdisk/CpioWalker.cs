using System;
using System.Globalization;

namespace Ryokan.DomainBuilder.Ramdisk;

/// <summary>
/// Walks a cpio archive in "newc" format (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)
/// that arrives in pieces, to tell a whole one from a damaged or cut one.
/// </summary>
internal sealed class CpioWalker
{
    private const int HeaderBytes = 110, TrailerNameBytes = 11;

    /// <summary>PATH_MAX of Linux: longer names are no names.</summary>
    private const uint MaxNameBytes = 4096;

    private readonly byte[] _header = new byte[HeaderBytes + TrailerNameBytes];
    private int _headerFill;
    private int _headerWanted = HeaderBytes;
    private ulong _skip;
    private ulong _position;
    private ulong _headerAt;
    private bool _trailer;

    /// <summary>
    /// What is wrong, or null. Once set it stays. It names the byte, counted from the first that was fed, where the entry
    /// that is wrong begins.
    /// </summary>
    public string? Error { get; private set; }

    /// <summary>The walk is between archives: before the first or after a trailer.</summary>
    public bool AtRest { get; private set; } = true;

    /// <summary>At least one archive was complete.</summary>
    public bool Complete { get; private set; }

    /// <summary>
    /// Takes the next bytes; returns how many were used: fewer than given only when at rest in front of a
    /// byte that starts no archive, or after an error.
    /// </summary>
    public int Feed(ReadOnlySpan<byte> bytes)
    {
        int used = 0;
        while (used < bytes.Length && Error == null)
        {
            ReadOnlySpan<byte> rest = bytes[used..];
            int n;
            if (AtRest)
            {
                n = rest.IndexOfAnyExcept((byte)0) is var at && at < 0 ? rest.Length : at;
                if (at >= 0 && rest[at] != (byte)'0')
                {
                    return used + at;
                }
                AtRest = at < 0;
            }
            else if (_skip != 0)
            {
                n = (int)Math.Min(_skip, (ulong)rest.Length);
                _skip -= (ulong)n;
                AtRest = _trailer && _skip == 0;
            }
            else
            {
                n = FillHeader(rest);
            }
            used += n;
            _position += (ulong)n;
        }
        return used;
    }

    private int FillHeader(ReadOnlySpan<byte> bytes)
    {
        if (_headerFill == 0)
        {
            _trailer = false;
            _headerWanted = HeaderBytes;
            _headerAt = _position;
        }
        int n = Math.Min(_headerWanted - _headerFill, bytes.Length);
        bytes[..n].CopyTo(_header.AsSpan(_headerFill));
        _headerFill += n;
        if (_headerFill == _headerWanted)
        {
            TakeHeader();
        }
        return n;
    }

    private void TakeHeader()
    {
        ReadOnlySpan<byte> header = _header;
        if (!header.StartsWith("070701"u8) && !header.StartsWith("070702"u8))
        {
            Error = $"corrupt: no cpio header at byte {_headerAt}";
            return;
        }
        if (!Field(6, out uint fileBytes) || !Field(11, out uint nameBytes)
            || nameBytes is 0 or > MaxNameBytes)
        {
            Error = $"corrupt: a damaged cpio header at byte {_headerAt}";
            return;
        }
        if (nameBytes == TrailerNameBytes && _headerWanted == HeaderBytes)
        {
            _headerWanted += TrailerNameBytes;
            return;
        }
        _trailer = header[HeaderBytes.._headerFill].SequenceEqual("TRAILER!!!\0"u8);
        _skip = Pad(HeaderBytes + nameBytes) + Pad(fileBytes) - (ulong)_headerFill;
        _headerFill = 0;
        Complete |= _trailer;
        AtRest = _trailer && _skip == 0;
    }

    /// <summary>Header field 0 .. 12, each 8 hexadecimal digits.</summary>
    private bool Field(int index, out uint value) =>
        uint.TryParse(
            _header.AsSpan(6 + index * 8, 8), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
            out value);

    private static ulong Pad(ulong bytes) => (bytes + 3) & ~3UL;

    /// <summary>What is wrong after the last byte, or null.</summary>
    public string? Finish() =>
        Error ?? (AtRest && Complete ? null : "truncated: the cpio archive has no end");
}
