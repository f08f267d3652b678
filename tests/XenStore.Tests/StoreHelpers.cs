using System;
using System.Collections.Generic;
using System.Text;
using Ryokan.XenStore.Tree;

namespace Ryokan.XenStore.Tests;

/// <summary>Collects watch events as "path token".</summary>
internal sealed class Events : IWatchSink
{
    private readonly List<string> _events = [];

    public void Fired(string path, string token) => _events.Add($"{path} {token}");

    public string[] Take()
    {
        string[] all = [.. _events];
        _events.Clear();
        return all;
    }
}

internal static class StoreHelpers
{
    public static StoreError Put(this StoreConnection c, string path, string value, uint transaction = 0) =>
        c.Write(transaction, path, Encoding.Latin1.GetBytes(value));

    /// <summary>The value, or the error's name in brackets.</summary>
    public static string Get(this StoreConnection c, string path, uint transaction = 0)
    {
        StoreError error = c.Read(transaction, path, out ReadOnlyMemory<byte> value);
        return error == StoreError.None ? Encoding.Latin1.GetString(value.Span) : $"[{error}]";
    }

    public static string List(this StoreConnection c, string path, uint transaction = 0)
    {
        StoreError error = c.Directory(transaction, path, out IReadOnlyList<string> names, out _);
        return error == StoreError.None ? string.Join(' ', names) : $"[{error}]";
    }

    public static StoreError Allow(
        this StoreConnection c, string path, string permissions, uint transaction = 0) =>
        c.SetPermissions(transaction, path, StorePermission.List(permissions));

    public static uint Begin(this StoreConnection c) =>
        c.StartTransaction(out uint id) == StoreError.None ? id : throw new InvalidOperationException();
}
