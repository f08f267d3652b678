using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage.Files;

/// <summary>
/// Advisory locks on an image, by QEMU's convention for image files (block/file-posix.c), so that its
/// programs
/// and ours respect each other: whoever does a thing holds a shared lock on byte 100 + n, whoever does not
/// want
/// others to do it one on byte 200 + n, and everybody looks, after taking their own, for locks that
/// contradict.
/// Two that come at the same moment may both be refused; never do both succeed.
/// </summary>
internal static class ImageLock
{
    private const long DoesBase = 100, ForbidsBase = 200;

    /// <summary>n: BLK_PERM_CONSISTENT_READ, _WRITE and _RESIZE.</summary>
    private const int Reads = 0, Writes = 1, Resizes = 3;

    private static readonly int[] s_readerDoes = [Reads], s_writerDoes = [Reads, Writes, Resizes];
    private static readonly int[] s_forbids = [Writes, Resizes];

    /// <summary>Takes the locks, which go away when the file is closed.</summary>
    /// <exception cref="DiskException">EAGAIN: somebody else uses the image</exception>
    public static void Take(HostFile file, string path, bool writable)
    {
        int[] does = writable ? s_writerDoes : s_readerDoes;
        foreach (int n in does)
        {
            Hold(file, path, DoesBase + n);
        }
        foreach (int n in s_forbids)
        {
            Hold(file, path, ForbidsBase + n);
        }
        foreach (int n in does)
        {
            Look(file, path, ForbidsBase + n, "somebody else has it open and does not share it");
        }
        foreach (int n in s_forbids)
        {
            Look(file, path, DoesBase + n, "somebody else has it open for writing");
        }
    }

    private static void Hold(HostFile file, string path, long at)
    {
        int error = file.Lock(at, 1, FileLockKind.Shared);
        if (error == DiskException.Eagain)
        {
            throw InUse(path, "somebody else has locked it");
        }
        if (error != 0)
        {
            throw DiskException.FromHost(path, "lock it", error);
        }
    }

    private static void Look(HostFile file, string path, long at, string why)
    {
        int error = file.WouldConflict(at, 1, FileLockKind.Exclusive, out bool conflict);
        if (error != 0)
        {
            throw DiskException.FromHost(path, "look for locks on it", error);
        }
        if (conflict)
        {
            throw InUse(path, why);
        }
    }

    private static DiskException InUse(string path, string why) => DiskException.Because(
        path, $"is in use: {why} (another guest, or a program such as qemu-img)", DiskException.Eagain);
}
