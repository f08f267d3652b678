using System;
using System.Collections.Immutable;

namespace Ryokan.XenStore.Tree;

/// <summary>A whole tree and how many of its nodes each domain owns. Immutable.</summary>
public sealed record StoreState(StoreNode Root, ImmutableDictionary<int, int> OwnedNodes)
{
    /// <summary>The empty store: a root that belongs to domain 0 and that all may read.</summary>
    public static StoreState Empty { get; } = new(
        new StoreNode { Permissions = StorePermission.List("r0"), Generation = 0, ChildGeneration = 0 },
        ImmutableDictionary<int, int>.Empty.Add(0, 1));

    public int NodesOf(int domain) => OwnedNodes.GetValueOrDefault(domain);

    public StoreNode? Find(string path)
    {
        StoreNode? node = Root;
        foreach (string name in StorePath.Split(path))
        {
            if (!node.Children.TryGetValue(name, out node))
            {
                return null;
            }
        }
        return node;
    }

    /// <summary>The path of the nearest node that exists, at or above.</summary>
    public (string Path, StoreNode Node) Nearest(string path)
    {
        string at = path;
        StoreNode? node;
        while ((node = Find(at)) == null)
        {
            at = StorePath.Parent(at)!;
        }
        return (at, node);
    }

    /// <summary>
    /// Value and permissions of a node, new or not; children stay. The parent must exist.
    /// </summary>
    public StoreState With(
        string path, ReadOnlyMemory<byte> value, ImmutableArray<StorePermission> permissions,
        ulong generation)
    {
        StoreNode? old = Find(path);
        StoreNode node = old == null
            ? new StoreNode
            {
                Value = value, Permissions = permissions,
                Generation = generation, ChildGeneration = generation,
            }
            : old with { Value = value, Permissions = permissions, Generation = generation };
        ImmutableDictionary<int, int> owned = old == null ? OwnedNodes : Count(OwnedNodes, old.Owner, -1);
        StoreNode root = Put(Root, StorePath.Split(path), node, generation);
        return new StoreState(root, Count(owned, node.Owner, 1));
    }

    /// <summary>Without a node and all below it; it must exist and not be the root.</summary>
    public StoreState Without(string path, ulong generation)
    {
        ImmutableDictionary<int, int> owned = Discount(OwnedNodes, Find(path)!);
        return new StoreState(Put(Root, StorePath.Split(path), null, generation), owned);
    }

    private static StoreNode Put(StoreNode at, ReadOnlySpan<string> names, StoreNode? node, ulong generation)
    {
        if (names.IsEmpty)
        {
            return node!;
        }
        string name = names[0];
        if (names.Length > 1)
        {
            StoreNode child = Put(at.Children[name], names[1..], node, generation);
            return at with { Children = at.Children.SetItem(name, child) };
        }
        if (node == null)
        {
            return at with { Children = at.Children.Remove(name), ChildGeneration = generation };
        }
        return at with
        {
            Children = at.Children.SetItem(name, node),
            ChildGeneration = at.Children.ContainsKey(name) ? at.ChildGeneration : generation,
        };
    }

    private static ImmutableDictionary<int, int> Discount(ImmutableDictionary<int, int> owned, StoreNode node)
    {
        owned = Count(owned, node.Owner, -1);
        foreach (StoreNode child in node.Children.Values)
        {
            owned = Discount(owned, child);
        }
        return owned;
    }

    private static ImmutableDictionary<int, int> Count(
        ImmutableDictionary<int, int> owned, int domain, int change)
    {
        int count = owned.GetValueOrDefault(domain) + change;
        return count == 0 ? owned.Remove(domain) : owned.SetItem(domain, count);
    }
}
