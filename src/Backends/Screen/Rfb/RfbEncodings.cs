using System;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>What a viewer can read (RFC 6143, 7.5.2, and the registry of RFB encodings).</summary>
internal sealed class RfbEncodings
{
    public const int Raw = 0, Zrle = 16;

    /// <summary>Pseudo encodings: the screen may change its size; keys may come as scan codes.</summary>
    public const int DesktopSize = -223, ScanCodes = -258;

    public RfbEncodings(ReadOnlySpan<int> encodings)
    {
        HasZrle = encodings.Contains(Zrle);
        HasDesktopSize = encodings.Contains(DesktopSize);
        HasScanCodes = encodings.Contains(ScanCodes);
    }

    public bool HasZrle { get; }

    public bool HasDesktopSize { get; }

    public bool HasScanCodes { get; }
}
