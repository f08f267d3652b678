using System;
using System.Runtime.InteropServices;

namespace Ryokan.Storage;

/// <summary>
/// A disk image cannot be opened or used; the message is one line that names the image, what was to be done
/// and
/// why it failed.
/// </summary>
public sealed class DiskException : Exception
{
    public const int Eio = 5, Eagain = 11, Enodev = 19, Einval = 22, Enospc = 28, Erofs = 30, Enotsup = 95;
    private const int Edquot = 122;

    /// <summary>The host's errno, or the one that says best what is wrong with the image.</summary>
    public int Errno { get; }

    /// <summary>
    /// The host has no room: the same write may succeed once there is some, so a guest can wait for it.
    /// </summary>
    public bool IsNoSpace => Errno is Enospc or Edquot;

    /// <summary>The image contradicts itself: nothing more should be written to it.</summary>
    internal bool IsDamage { get; }

    private DiskException(int errno, string message, bool isDamage = false) : base(message) =>
        (Errno, IsDamage) = (errno, isDamage);

    /// <summary>The image or the request is at fault; <paramref name="why"/> says in what way.</summary>
    internal static DiskException Because(
        string path, string why, int errno = Einval, bool isDamage = false) =>
        new(errno, $"{path}: {why}", isDamage);

    /// <summary>The host refused <paramref name="action"/> ("write 4096 bytes at 0").</summary>
    internal static DiskException FromHost(string path, string action, int errno) =>
        new(errno, $"{path}: cannot {action}: {Marshal.GetPInvokeErrorMessage(errno)}");
}
