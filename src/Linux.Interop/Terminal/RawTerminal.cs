using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Terminal;

/// <summary>
/// A terminal in raw mode (termios(3)): every key goes to the reader, Ctrl-C included. Restores the former
/// mode when disposed; may be disposed from any thread and more than once.
/// </summary>
public sealed unsafe partial class RawTerminal : IDisposable
{
    private const int ApplyNow = 0;

    private readonly int _fd;
    private Termios _former;
    private int _restored;

    /// <summary>struct termios of glibc on x86-64: 60 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 60)]
    private struct Termios
    {
        public uint InputFlags, OutputFlags, ControlFlags, LocalFlags;
    }

    private RawTerminal(int fd) => _fd = fd;

    public static bool IsTerminal(int fd) => IsATty(fd) == 1;

    /// <summary>Puts a terminal into raw mode; null when the descriptor is no terminal.</summary>
    public static RawTerminal? Enter(int fd)
    {
        RawTerminal terminal = new(fd);
        fixed (Termios* former = &terminal._former)
        {
            if (IsATty(fd) != 1 || GetAttributes(fd, former) != 0)
            {
                return null;
            }
            Termios raw = *former;
            MakeRaw(&raw);
            return SetAttributes(fd, ApplyNow, &raw) == 0 ? terminal : null;
        }
    }

    public void Dispose()
    {
        if (System.Threading.Interlocked.Exchange(ref _restored, 1) == 0)
        {
            fixed (Termios* former = &_former)
            {
                _ = SetAttributes(_fd, ApplyNow, former);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsATty(int fd);

    [LibraryImport("libc", EntryPoint = "tcgetattr", SetLastError = true)]
    private static partial int GetAttributes(int fd, Termios* attributes);

    [LibraryImport("libc", EntryPoint = "tcsetattr", SetLastError = true)]
    private static partial int SetAttributes(int fd, int when, Termios* attributes);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw(Termios* attributes);
}
