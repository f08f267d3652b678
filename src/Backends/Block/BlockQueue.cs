using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Ryokan.Backends.Rings;
using Ryokan.Linux.Interop;
using Ryokan.Storage;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Block;

/// <summary>
/// One ring of a disk: takes requests, carries them out straight between guest memory and the image, answers.
/// While the host answers from its page cache the ring's own thread does the work, without handing it over;
/// when the host is slow, and for flushes, a pool of threads keeps many requests under way.
/// </summary>
internal sealed class BlockQueue : IDisposable
{
    /// <summary>Requests taken before any is carried out.</summary>
    private const int BatchRequests = 32;

    /// <summary>Bytes carried out before the guest sees their answers.</summary>
    private const ulong PublishBytes = 128 << 10;

    /// <summary>
    /// Longer than this, beside the time that copying takes, in which the thread has waited, means that the host
    /// waited for a disk.
    /// </summary>
    private const double SlowMicroseconds = 100, CopyMicrosecondsPerKiB = 1;

    /// <summary>Groups that go to the pool after a slow one, before the thread tries itself again.</summary>
    private const int PooledAfterSlow = 64;

    private readonly GuestAccess _guest;
    private readonly BlockDevice _device;
    private readonly BlockProtocol _protocol;
    private readonly BackRing _ring;
    private readonly RingWorker _worker;
    private readonly IoPool _pool;

    /// <summary>Guards the next two.</summary>
    private readonly object _gate = new();

    /// <summary>The ring's thread takes requests or carries them out.</summary>
    private bool _working;
    private int _holds;

    /// <summary>Guards responses, and what is used again.</summary>
    private readonly object _respond = new();
    private readonly Stack<BlockRequest> _unusedRequests = [];
    private readonly Stack<IoGroup> _unusedGroups = [];
    private readonly List<BlockRequest> _batch = [];
    private ulong _unpublished;
    private int _pooled;

    /// <exception cref="FrontendException">the event channel cannot be bound; the ring is given back</exception>
    public BlockQueue(
        GuestAccess guest, BlockDevice device, BlockProtocol protocol, BackRing ring, uint port, int number,
        Action<string> failed)
    {
        (_guest, _device, _protocol, _ring) = (guest, device, protocol, ring);
        string name = $"{device.Name}-{number}";
        _pool = new IoPool(name + "-io", ExecuteInPool);
        _worker = new RingWorker(guest, name, port, Process, failed);
    }

    public uint Port => _worker.Port;

    public void Start() => _worker.Start();

    private void Process()
    {
        do
        {
            while (Enter() && TakeBatch())
            {
                CarryOut();
                Leave();
            }
            Leave();
            Publish();
        }
        while (!_worker.IsStopping && _ring.FinalCheck());
    }

    /// <summary>Waits while the queue is held; false when it is to stop.</summary>
    private bool Enter()
    {
        lock (_gate)
        {
            while (_holds > 0 && !_worker.IsStopping)
            {
                Monitor.Wait(_gate);
            }
            _working = true;
        }
        return !_worker.IsStopping;
    }

    private void Leave()
    {
        lock (_gate)
        {
            _working = false;
            if (_holds > 0)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Takes and checks requests; those that make no sense are answered at once.</summary>
    private bool TakeBatch()
    {
        int taken = 0;
        while (taken < BatchRequests)
        {
            BlockRequest request = Unused();
            if (!_protocol.TryTake(_ring, _guest, request, out bool valid))
            {
                Recycle(request);
                return taken > 0;
            }
            taken++;
            short status = valid ? Check(request) : BlkifResult.Error;
            if (status == BlkifResult.Okay)
            {
                _batch.Add(request);
            }
            else
            {
                Answer(request, status);
            }
        }
        return true;
    }

    private short Check(BlockRequest request)
    {
        IDisk? disk = _device.Disk;
        switch (request.Action)
        {
            case BlkifOp.Read or BlkifOp.Write when !request.HasData:
                return BlkifResult.Error;
            case BlkifOp.Discard when !_device.OffersDiscard || (request.DiscardFlags & BlkifDiscard.Secure) != 0:
                return BlkifResult.Eopnotsupp;
            case BlkifOp.Read or BlkifOp.Write or BlkifOp.FlushDiskcache or BlkifOp.WriteBarrier or BlkifOp.Discard:
                break;
            default:
                return BlkifResult.Eopnotsupp;
        }
        bool writes = request.Action == BlkifOp.Discard || (!request.IsRead && request.HasData);
        bool possible = disk != null && request.FitsInto(disk.SizeBytes) && !(writes && disk.IsReadOnly)
            && request.TryMap(_guest);
        return possible ? BlkifResult.Okay : BlkifResult.Error;
    }

    /// <summary>Carries the batch out in its order, neighbours together.</summary>
    private void CarryOut()
    {
        for (int i = 0; i < _batch.Count;)
        {
            IoGroup group = UnusedGroup();
            bool mayMerge = _batch[i].Action is BlkifOp.Read or BlkifOp.Write;
            while (i < _batch.Count && group.TryAdd(_batch[i], _guest.Frames, mayMerge))
            {
                i++;
            }
            CarryOut(group);
        }
        _batch.Clear();
    }

    private void CarryOut(IoGroup group)
    {
        switch (group.Action)
        {
            case BlkifOp.WriteBarrier:
                // Everything before it is done before it, everything after it after it.
                _pool.Drain();
                Execute(group);
                break;
            case BlkifOp.Read or BlkifOp.Write when _pooled == 0:
                long begin = Stopwatch.GetTimestamp(), waits = HostThread.CurrentWaits();
                double expected = SlowMicroseconds + group.Length / 1024.0 * CopyMicrosecondsPerKiB;
                Execute(group);
                // On a busy host it may also have been off the CPU, which a pool of threads makes worse.
                if (Stopwatch.GetElapsedTime(begin).TotalMicroseconds > expected && HostThread.CurrentWaits() != waits)
                {
                    _pooled = PooledAfterSlow;
                }
                break;
            default:
                _pooled = Math.Max(0, _pooled - 1);
                _pool.Add(group);
                break;
        }
    }

    private void ExecuteInPool(IoGroup group)
    {
        Execute(group);
        Publish();
    }

    private void Execute(IoGroup group)
    {
        short status = Perform(group);
        if (status != BlkifResult.Okay && group.Requests.Count > 1)
        {
            // One of them is at fault; the others must not suffer.
            foreach (BlockRequest request in group.Requests)
            {
                IoGroup single = UnusedGroup();
                single.TryAdd(request, _guest.Frames, mayMerge: false);
                Answer(request, Perform(single));
                Recycle(single);
            }
        }
        else
        {
            group.Requests.ForEach(r => Answer(r, status));
        }
        Recycle(group);
    }

    /// <summary>Does it, waiting for room on the host if need be. The status of the response.</summary>
    private short Perform(IoGroup group)
    {
        while (true)
        {
            try
            {
                if (_device.Disk is not { } disk)
                {
                    return BlkifResult.Error;
                }
                Perform(group, disk);
                return BlkifResult.Okay;
            }
            catch (DiskException e) when (e.IsNoSpace)
            {
                if (!_device.WaitForSpace(e, () => _worker.IsStopping))
                {
                    return BlkifResult.Error;
                }
            }
            catch (DiskException e)
            {
                _device.NoteError(e);
                return e.Errno == DiskException.Enotsup ? BlkifResult.Eopnotsupp : BlkifResult.Error;
            }
        }
    }

    private static void Perform(IoGroup group, IDisk disk)
    {
        switch (group.Action)
        {
            case BlkifOp.Read:
                disk.Read(group.Offset, group.Vectors);
                break;
            case BlkifOp.Write:
                disk.Write(group.Offset, group.Vectors);
                break;
            case BlkifOp.Discard:
                disk.Discard(group.Offset, group.Length);
                break;
            default:
                disk.Flush();
                if (group.Length > 0)
                {
                    disk.Write(group.Offset, group.Vectors);
                    disk.Flush();
                }
                break;
        }
    }

    private void Answer(BlockRequest request, short status)
    {
        request.Unmap(_guest);
        bool publish;
        lock (_respond)
        {
            _protocol.Put(_ring, request, status);
            _unpublished += request.Length;
            publish = _unpublished >= PublishBytes;
            _unusedRequests.Push(request);
        }
        if (publish)
        {
            Publish();
        }
    }

    private void Publish()
    {
        bool notify;
        lock (_respond)
        {
            notify = _ring.Publish();
            _unpublished = 0;
        }
        if (notify)
        {
            _worker.NotifyGuest();
        }
    }

    private BlockRequest Unused()
    {
        lock (_respond)
        {
            return _unusedRequests.TryPop(out BlockRequest? request) ? request : new BlockRequest();
        }
    }

    private void Recycle(BlockRequest request)
    {
        lock (_respond)
        {
            _unusedRequests.Push(request);
        }
    }

    private IoGroup UnusedGroup()
    {
        lock (_respond)
        {
            return _unusedGroups.TryPop(out IoGroup? group) ? group : new IoGroup();
        }
    }

    private void Recycle(IoGroup group)
    {
        group.Clear();
        lock (_respond)
        {
            _unusedGroups.Push(group);
        }
    }

    /// <summary>Holds the ring, and waits until no request is under way; <see cref="Resume"/> ends it.</summary>
    public void Quiesce()
    {
        lock (_gate)
        {
            _holds++;
            while (_working)
            {
                Monitor.Wait(_gate);
            }
        }
        _pool.Drain();
        Publish();
    }

    public void Resume()
    {
        lock (_gate)
        {
            _holds--;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>No request is begun any more. Those that wait for room on the host look at this when woken.</summary>
    public void BeginStop()
    {
        _worker.BeginStop();
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Finishes what is under way; nothing of the guest's is held or touched after that.</summary>
    public void Dispose()
    {
        BeginStop();
        _worker.Dispose();
        _pool.Dispose();
        _ring.Dispose();
    }
}
