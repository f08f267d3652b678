using System;

namespace Ryokan.Storage.Boot;

/// <summary>Orders the names of kernels: runs of digits as numbers, everything else as text.</summary>
internal static class KernelVersion
{
    public static int Compare(string a, string b)
    {
        int i = 0, j = 0;
        while (i < a.Length && j < b.Length)
        {
            int order;
            if (char.IsAsciiDigit(a[i]) && char.IsAsciiDigit(b[j]))
            {
                ReadOnlySpan<char> x = Digits(a, ref i), y = Digits(b, ref j);
                order = x.Length != y.Length ? x.Length - y.Length : x.SequenceCompareTo(y);
            }
            else
            {
                // What comes before a release ("~rc1", "-rc1") is older than the release.
                order = Rank(a[i++]) - Rank(b[j++]);
            }
            if (order != 0)
            {
                return order;
            }
        }
        return RestRank(a, i) - RestRank(b, j);
    }

    private static int Rank(char c) => c == '~' ? -1 : c;

    private static int RestRank(string text, int at) =>
        at == text.Length ? 0
        : text[at] == '~' || text.AsSpan(at).StartsWith("-rc", StringComparison.Ordinal) ? -1 : 1;

    /// <summary>A run of digits without leading zeroes.</summary>
    private static ReadOnlySpan<char> Digits(string text, ref int at)
    {
        int start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }
        return text.AsSpan(start, at - start).TrimStart('0');
    }
}
