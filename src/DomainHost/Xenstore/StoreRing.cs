using System;
using Ryokan.GuestMemory;
using Ryokan.XenStore.Transport;

namespace Ryokan.DomainHost.Xenstore;

/// <summary>The guest's xenstore page, for the store's transport.</summary>
internal sealed class StoreRing(GuestFrames frames, ulong mfn, Action notifyGuest) : IXenStoreRing
{
    public Span<byte> Page => frames.Span(mfn);

    public void NoteWritten(int offset, int length) =>
        frames.NoteWritten(frames.IndexOf(mfn), offset, length);

    public void NotifyGuest() => notifyGuest();
}
