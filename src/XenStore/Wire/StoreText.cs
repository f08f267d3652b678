using System;
using System.Collections.Generic;
using System.Text;

namespace Ryokan.XenStore.Wire;

/// <summary>NUL-terminated strings as the wire protocol has them; one byte is one character.</summary>
internal static class StoreText
{
    private static readonly Encoding s_encoding = Encoding.Latin1;

    /// <summary>The string and its NUL.</summary>
    public static byte[] Terminated(string text) => s_encoding.GetBytes(text + '\0');

    /// <summary>Each string and its NUL, one after the other.</summary>
    public static byte[] Terminated(IEnumerable<string> texts)
    {
        StringBuilder all = new();
        foreach (string text in texts)
        {
            all.Append(text).Append('\0');
        }
        return s_encoding.GetBytes(all.ToString());
    }

    /// <summary>Exactly one terminated string.</summary>
    public static bool TryOne(ReadOnlySpan<byte> payload, out string text) =>
        TryFirst(payload, out text, out ReadOnlySpan<byte> rest) && rest.IsEmpty;

    /// <summary>Two terminated strings or more; what follows them is ignored, as Xen's daemon does.</summary>
    public static bool TryTwo(ReadOnlySpan<byte> payload, out string first, out string second)
    {
        second = "";
        return TryFirst(payload, out first, out ReadOnlySpan<byte> rest) && TryFirst(rest, out second, out _);
    }

    /// <summary>A terminated string and the bytes behind it.</summary>
    public static bool TryFirst(ReadOnlySpan<byte> payload, out string text, out ReadOnlySpan<byte> rest)
    {
        int end = payload.IndexOf((byte)0);
        text = end < 0 ? "" : s_encoding.GetString(payload[..end]);
        rest = end < 0 ? default : payload[(end + 1)..];
        return end >= 0;
    }

    /// <summary>Strings to the end of the payload, each terminated; null when the last one is not.</summary>
    public static List<string>? All(ReadOnlySpan<byte> payload)
    {
        List<string> all = [];
        while (!payload.IsEmpty)
        {
            if (!TryFirst(payload, out string text, out payload))
            {
                return null;
            }
            all.Add(text);
        }
        return all;
    }
}
