using System;

namespace Ryokan.XenStore.Transport;

/// <summary>The xenstore page of a guest, and the way to tell the guest.</summary>
public interface IXenStoreRing
{
    /// <summary>
    /// The 4096 bytes of struct xenstore_domain_interface; the guest changes them at any time.
    /// </summary>
    Span<byte> Page { get; }

    /// <summary>Bytes of the page were just written.</summary>
    void NoteWritten(int offset, int length);

    /// <summary>Raises the store's event port.</summary>
    void NotifyGuest();
}
