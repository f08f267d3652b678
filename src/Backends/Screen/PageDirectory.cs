using Ryokan.Backends.Rings;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Screen;

/// <summary>
/// The page directory of a framebuffer (fbif.h: pd[]): frame numbers of pages that hold the frame numbers of the
/// pixels. Its entries are longs of the guest's: 8 bytes, or 4 in a 32-bit guest.
/// </summary>
internal static class PageDirectory
{
    /// <summary>Where pd[] begins: behind depth, aligned to a long.</summary>
    private const int Offset64 = 40, Offset32 = 36;

    /// <summary>Reads both levels, once.</summary>
    /// <param name="frames">the guest's memory</param>
    /// <param name="page">the shared page</param>
    /// <param name="protocol">the front end's "protocol" node; null: as in a 64-bit guest</param>
    /// <param name="memoryBytes">length of the framebuffer</param>
    /// <returns>dense index of each frame of the framebuffer</returns>
    /// <exception cref="FrontendException">an entry names a frame that is not the domain's, or there are more than
    /// the shared page has room for before its rings</exception>
    public static long[] Read(GuestFrames frames, EventPage page, string? protocol, uint memoryBytes)
    {
        bool narrow = protocol switch
        {
            IoProtocol.X8632 => true,
            IoProtocol.X8664 or null => false,
            _ => throw new FrontendException($"protocol '{Xenbus.DeviceNodes.Shown(protocol)}' is not known"),
        };
        int entryBytes = narrow ? 4 : 8;
        int entriesPerPage = GuestFrames.PageSize / entryBytes;
        uint pages = (memoryBytes + GuestFrames.PageSize - 1) / GuestFrames.PageSize;
        int start = narrow ? Offset32 : Offset64;
        int room = (FramebufferEvent.InRingOffs - start) / entryBytes;
        if (memoryBytes > PictureMode.MaxBytes || pages > (uint)(room * entriesPerPage))
        {
            throw new FrontendException($"a framebuffer of {memoryBytes} bytes is too large for its page directory");
        }
        long[] indices = new long[pages];
        for (int i = 0; i < indices.Length; i++)
        {
            long directory = EventPage.RamIndex(
                frames, Entry(frames, page.FrameIndex, start, i / entriesPerPage, narrow));
            indices[i] = EventPage.RamIndex(frames, Entry(frames, directory, 0, i % entriesPerPage, narrow));
        }
        return indices;
    }

    private static ulong Entry(GuestFrames frames, long index, int start, int entry, bool narrow) => narrow
        ? System.Threading.Volatile.Read(ref frames.UInt32At(index, start + entry * 4))
        : System.Threading.Volatile.Read(ref frames.UInt64At(index, start + entry * 8));
}
