using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Tree;

namespace Ryokan.XenStore.Wire;

/// <summary>
/// The wire protocol of one connection (xen/io/xs_wire.h, docs/misc/xenstore.txt): takes whole requests,
/// leaves replies and watch events to be taken. Requests come from one thread at a time; output may be
/// taken by another. A malformed request gets an error reply, never an exception.
/// </summary>
public sealed class WireSession : IWatchSink, IDisposable
{
    /// <summary>Bytes of waiting output above which a transport must not hand in requests.</summary>
    public const int MaxQueuedBytes = 64 * 1024;

    private static readonly byte[] s_ok = StoreText.Terminated("OK");

    private readonly StoreConnection _connection;
    private readonly Outbox _outbox;
    private readonly Action _outputReady;

    /// <param name="outputReady">there is something to take; runs with the store locked: only signal</param>
    /// <param name="home">see <see cref="Store.Connect"/></param>
    public WireSession(
        Store store, int domain, Action outputReady, StoreQuota? quota = null, string? home = null)
    {
        _outputReady = outputReady;
        quota ??= new StoreQuota();
        _outbox = new Outbox(domain == 0 ? int.MaxValue : quota.QueuedEvents);
        _connection = store.Connect(domain, this, quota, home);
    }

    public StoreConnection Connection => _connection;

    /// <summary>Bytes that wait to be taken.</summary>
    public int QueuedBytes => _outbox.Length;

    /// <summary>Watch events that were dropped because the peer does not read.</summary>
    public long DroppedEvents { get; private set; }

    /// <summary>
    /// Takes output, whole messages or parts of them, in order; returns the number of bytes.
    /// </summary>
    public int TakeOutput(Span<byte> destination) => _outbox.Take(destination);

    void IWatchSink.Fired(string path, string token)
    {
        if (!_outbox.Event(path, token))
        {
            DroppedEvents++;
        }
        _outputReady();
    }

    /// <summary>Serves one request; the payload's length is that of the header.</summary>
    public void Handle(in XsdSockmsg request, ReadOnlySpan<byte> payload)
    {
        StoreError error = Dispatch(request, payload, out byte[]? reply);
        if (error != StoreError.None)
        {
            _outbox.Reply(request, XenStoreMessageType.Error, StoreText.Terminated(error.ToString()));
        }
        else if (reply != null)
        {
            _outbox.Reply(request, request.Type, reply);
        }
        _outputReady();
    }

    private StoreError Dispatch(in XsdSockmsg request, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = s_ok;
        switch (request.Type)
        {
            case XenStoreMessageType.Directory:
                return Directory(request.TxId, payload, out reply);
            case XenStoreMessageType.DirectoryPart:
                return DirectoryPart(request.TxId, payload, out reply);
            case XenStoreMessageType.Read:
                return Read(request.TxId, payload, out reply);
            case XenStoreMessageType.GetPerms:
                return GetPermissions(request.TxId, payload, out reply);
            case XenStoreMessageType.SetPerms:
                return SetPermissions(request.TxId, payload);
            case XenStoreMessageType.Write:
                return StoreText.TryFirst(payload, out string path, out ReadOnlySpan<byte> value)
                    ? _connection.Write(request.TxId, path, value) : StoreError.EINVAL;
            case XenStoreMessageType.Mkdir:
                return StoreText.TryOne(payload, out path)
                    ? _connection.Mkdir(request.TxId, path) : StoreError.EINVAL;
            case XenStoreMessageType.Rm:
                return StoreText.TryOne(payload, out path)
                    ? _connection.Remove(request.TxId, path) : StoreError.EINVAL;
            case XenStoreMessageType.Watch:
                return Watch(request, payload, out reply);
            case XenStoreMessageType.Unwatch:
                return StoreText.TryTwo(payload, out path, out string token)
                    ? _connection.RemoveWatch(path, token) : StoreError.EINVAL;
            case XenStoreMessageType.ResetWatches:
                _connection.ResetWatches();
                return StoreError.None;
            case XenStoreMessageType.TransactionStart:
                return StartTransaction(request.TxId, out reply);
            case XenStoreMessageType.TransactionEnd:
                return EndTransaction(request.TxId, payload);
            default:
                return DispatchDomains(request.Type, payload, out reply);
        }
    }

    private StoreError DispatchDomains(uint type, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        switch (type)
        {
            case XenStoreMessageType.GetDomainPath:
                return TryDomain(payload, out int domain)
                    ? Text(StorePath.OfDomain(domain), out reply) : StoreError.EINVAL;
            case XenStoreMessageType.IsDomainIntroduced:
                return TryDomain(payload, out domain)
                    ? Text(_connection.Store.IsIntroduced(domain) ? "T" : "F", out reply) : StoreError.EINVAL;
            case XenStoreMessageType.Control:
            case XenStoreMessageType.Introduce:
            case XenStoreMessageType.Release:
            case XenStoreMessageType.Resume:
            case XenStoreMessageType.SetTarget:
                // Domains come and go through the monitor, not by message.
                return _connection.IsPrivileged ? StoreError.ENOSYS : StoreError.EACCES;
            default:
                return StoreError.ENOSYS;
        }
    }

    private static StoreError Text(string text, out byte[]? reply)
    {
        reply = StoreText.Terminated(text);
        return StoreError.None;
    }

    private static bool TryDomain(ReadOnlySpan<byte> payload, out int domain)
    {
        domain = 0;
        return StoreText.TryOne(payload, out string text)
            && ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort id)
            && (domain = id) <= Domid.FirstReserved;
    }

    private StoreError Read(uint transaction, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        if (!StoreText.TryOne(payload, out string path))
        {
            return StoreError.EINVAL;
        }
        StoreError error = _connection.Read(transaction, path, out ReadOnlyMemory<byte> value);
        return error == StoreError.None ? Fitting(value.ToArray(), out reply) : error;
    }

    private StoreError Directory(uint transaction, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        if (!StoreText.TryOne(payload, out string path))
        {
            return StoreError.EINVAL;
        }
        StoreError error = _connection.Directory(transaction, path, out IReadOnlyList<string> names, out _);
        return error == StoreError.None ? Fitting(StoreText.Terminated(names), out reply) : error;
    }

    /// <summary>
    /// A piece of a long list of children: "generation", then whole names from a byte offset on, then an
    /// empty string after the last one.
    /// </summary>
    private StoreError DirectoryPart(uint transaction, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        if (!StoreText.TryTwo(payload, out string path, out string offsetText)
            || !uint.TryParse(offsetText, NumberStyles.None, CultureInfo.InvariantCulture, out uint offset))
        {
            return StoreError.EINVAL;
        }
        StoreError error = _connection.Directory(
            transaction, path, out IReadOnlyList<string> names, out ulong generation);
        if (error != StoreError.None)
        {
            return error;
        }
        byte[] all = StoreText.Terminated(names);
        byte[] head = StoreText.Terminated(generation.ToString(CultureInfo.InvariantCulture));
        ReadOnlySpan<byte> rest = offset < all.Length ? all.AsSpan((int)offset) : default;
        int room = XenStoreLimits.PayloadMax - head.Length - 1;
        bool last = rest.Length <= room;
        ReadOnlySpan<byte> piece = last ? rest : rest[..(rest[..room].LastIndexOf((byte)0) + 1)];
        reply = [.. head, .. piece, .. last ? new byte[1] : []];
        return StoreError.None;
    }

    private StoreError GetPermissions(uint transaction, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        if (!StoreText.TryOne(payload, out string path))
        {
            return StoreError.EINVAL;
        }
        StoreError error = _connection.GetPermissions(
            transaction, path, out ImmutableArray<StorePermission> list);
        return error == StoreError.None ? Fitting(StorePermission.ToWire(list), out reply) : error;
    }

    private StoreError SetPermissions(uint transaction, ReadOnlySpan<byte> payload)
    {
        if (StoreText.All(payload) is not { Count: > 1 } texts)
        {
            return StoreError.EINVAL;
        }
        ImmutableArray<StorePermission>.Builder list = ImmutableArray.CreateBuilder<StorePermission>();
        foreach (string text in texts.Skip(1))
        {
            if (!StorePermission.TryParse(text, out StorePermission permission))
            {
                return StoreError.EINVAL;
            }
            list.Add(permission);
        }
        return _connection.SetPermissions(transaction, texts[0], list.DrainToImmutable());
    }

    /// <summary>The reply must go out before the first event, so it is sent from inside.</summary>
    private StoreError Watch(XsdSockmsg request, ReadOnlySpan<byte> payload, out byte[]? reply)
    {
        reply = null;
        return StoreText.TryTwo(payload, out string path, out string token)
            ? _connection.AddWatch(path, token, () => _outbox.Reply(request, request.Type, s_ok))
            : StoreError.EINVAL;
    }

    private StoreError StartTransaction(uint open, out byte[]? reply)
    {
        reply = null;
        if (open != 0)
        {
            return StoreError.EBUSY;
        }
        StoreError error = _connection.StartTransaction(out uint id);
        return error == StoreError.None ? Text(id.ToString(CultureInfo.InvariantCulture), out reply) : error;
    }

    private StoreError EndTransaction(uint id, ReadOnlySpan<byte> payload) =>
        StoreText.TryOne(payload, out string how) && how is "T" or "F"
            ? _connection.EndTransaction(id, how == "T") : StoreError.EINVAL;

    private static StoreError Fitting(byte[] payload, out byte[]? reply)
    {
        reply = payload.Length <= XenStoreLimits.PayloadMax ? payload : null;
        return reply != null ? StoreError.None : StoreError.E2BIG;
    }

    public void Dispose() => _connection.Dispose();
}
