using System;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Ryokan.XenStore.Tree;

/// <summary>What a domain may do with a node.</summary>
[Flags]
public enum StoreAccess
{
    None = 0,
    Read = 1,
    Write = 2,
    Both = Read | Write,

    /// <summary>The node's owner, who may also change its permissions.</summary>
    Owner = 4,
}

/// <summary>
/// One entry of a permission list: "n3" (none), "r3", "w3", "b3". In the first entry the domain is the owner
/// and the access is that of everybody not named.
/// </summary>
public readonly record struct StorePermission(int Domain, StoreAccess Access)
{
    private const int MaxDomain = 0x7ff4;

    public override string ToString()
    {
        char letter = Access switch
        {
            StoreAccess.Read => 'r',
            StoreAccess.Write => 'w',
            StoreAccess.Both => 'b',
            _ => 'n',
        };
        return string.Create(CultureInfo.InvariantCulture, $"{letter}{Domain}");
    }

    public static bool TryParse(ReadOnlySpan<char> text, out StorePermission permission)
    {
        permission = default;
        if (text.Length < 2
            || !int.TryParse(text[1..], NumberStyles.None, CultureInfo.InvariantCulture, out int domain)
            || domain > MaxDomain)
        {
            return false;
        }
        StoreAccess? access = text[0] switch
        {
            'n' => StoreAccess.None,
            'r' => StoreAccess.Read,
            'w' => StoreAccess.Write,
            'b' => StoreAccess.Both,
            _ => null,
        };
        permission = new StorePermission(domain, access ?? StoreAccess.None);
        return access != null;
    }

    /// <summary>A list written as in "n0,r3"; throws on anything else (our own text).</summary>
    public static ImmutableArray<StorePermission> List(string text)
    {
        ImmutableArray<StorePermission>.Builder list = ImmutableArray.CreateBuilder<StorePermission>();
        foreach (string part in text.Split(','))
        {
            list.Add(TryParse(part, out StorePermission p)
                ? p : throw new FormatException($"permission '{part}'"));
        }
        return list.DrainToImmutable();
    }

    /// <summary>NUL-terminated entries, as on the wire.</summary>
    public static byte[] ToWire(ImmutableArray<StorePermission> list)
    {
        StringBuilder text = new();
        foreach (StorePermission p in list)
        {
            text.Append(p.ToString()).Append('\0');
        }
        return Encoding.Latin1.GetBytes(text.ToString());
    }
}
