using System;
using System.Collections.Generic;
using System.Collections.Immutable;

namespace Ryokan.XenStore.Tree;

/// <summary>
/// A tree that is being worked on: the store itself, or the copy of a transaction, which also remembers
/// what it looked at and changed.
/// </summary>
internal sealed class StoreView(StoreState start, bool isTransaction)
{
    /// <summary>What was seen of a node: its generations, null when it did not exist.</summary>
    private readonly record struct Seen(ulong? Generation, ulong? ChildGeneration);

    /// <summary>
    /// A node set (with its value and permissions) or removed. Implied: a parent made on the way, which is no
    /// event of its own.
    /// </summary>
    internal readonly record struct Change(
        string Path, bool IsRemoval, bool IsImplied, ReadOnlyMemory<byte> Value,
        ImmutableArray<StorePermission> Permissions);

    private readonly StoreState _start = start;
    private readonly Dictionary<string, Seen> _seen = new(StringComparer.Ordinal);

    public StoreState State { get; private set; } = start;

    /// <summary>In the order they were made.</summary>
    public List<Change> Changes { get; } = [];

    /// <summary>Nodes looked at or changed.</summary>
    public int Footprint => _seen.Count + Changes.Count;

    /// <summary>Remembers that the node's existence, value and permissions mattered.</summary>
    public void NoteNode(string path)
    {
        if (isTransaction)
        {
            ulong? generation = _start.Find(path)?.Generation;
            ulong? children = _seen.TryGetValue(path, out Seen seen) ? seen.ChildGeneration : null;
            _seen[path] = new Seen(generation, children);
        }
    }

    /// <summary>Remembers that the list of children mattered as well.</summary>
    public void NoteChildren(string path)
    {
        if (isTransaction)
        {
            StoreNode? node = _start.Find(path);
            _seen[path] = new Seen(node?.Generation, node?.ChildGeneration);
        }
    }

    public void Set(
        string path, ReadOnlyMemory<byte> value, ImmutableArray<StorePermission> permissions,
        ulong generation, bool isImplied = false)
    {
        State = State.With(path, value, permissions, generation);
        Changes.Add(new Change(path, false, isImplied, value, permissions));
    }

    public void Remove(string path, ulong generation)
    {
        State = State.Without(path, generation);
        Changes.Add(new Change(path, true, false, default, default));
    }

    /// <summary>
    /// The changes on top of what the store has become; null when something that was looked at changed.
    /// </summary>
    public StoreState? Rebase(StoreState current, Func<ulong> nextGeneration)
    {
        if (ReferenceEquals(current, _start))
        {
            return State;
        }
        foreach ((string path, Seen seen) in _seen)
        {
            StoreNode? now = current.Find(path);
            if (now?.Generation != seen.Generation
                || (seen.ChildGeneration != null && now?.ChildGeneration != seen.ChildGeneration))
            {
                return null;
            }
        }
        StoreState result = current;
        foreach (Change change in Changes)
        {
            bool possible = change.IsRemoval
                ? result.Find(change.Path) != null
                : change.Path == "/" || result.Find(StorePath.Parent(change.Path)!) != null;
            if (!possible)
            {
                return null;
            }
            result = change.IsRemoval
                ? result.Without(change.Path, nextGeneration())
                : result.With(change.Path, change.Value, change.Permissions, nextGeneration());
        }
        return result;
    }
}
