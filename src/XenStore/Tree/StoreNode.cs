using System;
using System.Collections.Immutable;

namespace Ryokan.XenStore.Tree;

/// <summary>
/// One node with all below it. Immutable: a changed tree shares what did not change with the old one, so a
/// transaction costs nothing to start.
/// </summary>
public sealed record StoreNode
{
    private static readonly ImmutableSortedDictionary<string, StoreNode> s_noChildren =
        ImmutableSortedDictionary.Create<string, StoreNode>(StringComparer.Ordinal);

    public ReadOnlyMemory<byte> Value { get; init; }

    /// <summary>At least one entry; the first names the owner.</summary>
    public required ImmutableArray<StorePermission> Permissions { get; init; }

    /// <summary>Changes with value and permissions; unique in the store.</summary>
    public required ulong Generation { get; init; }

    /// <summary>Changes when a child comes or goes.</summary>
    public required ulong ChildGeneration { get; init; }

    public ImmutableSortedDictionary<string, StoreNode> Children { get; init; } = s_noChildren;

    public int Owner => Permissions[0].Domain;

    /// <summary>What a domain may do here; domain 0 may do everything.</summary>
    public StoreAccess AccessFor(int domain, bool privileged)
    {
        if (privileged || domain == Owner)
        {
            return StoreAccess.Both | StoreAccess.Owner;
        }
        foreach (StorePermission p in Permissions.AsSpan()[1..])
        {
            if (p.Domain == domain)
            {
                return p.Access;
            }
        }
        return Permissions[0].Access;
    }
}
