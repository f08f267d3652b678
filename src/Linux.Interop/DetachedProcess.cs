using System;
using System.Collections;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>
/// Starts a program that outlives its starter: in a session of its own, with stdin from /dev/null, none of
/// the starter's other descriptors, and default signal handling (posix_spawn(3) with glibc's closefrom
/// action).
/// </summary>
public static unsafe partial class DetachedProcess
{
    private const int CloseOnExec = 0x80000, WriteOnly = 1, Create = 0x40, Append = 0x400, NoHang = 1;
    private const short SetSignalMask = 0x08, SetSignalDefault = 0x04, SetSession = 0x80;

    /// <summary>posix_spawn_file_actions_t is 80, posix_spawnattr_t 336 bytes in glibc on x86-64.</summary>
    private const int ActionsBytes = 80, AttributesBytes = 336, SignalSetBytes = 128;

    /// <summary>Starts it; returns its process id and the reading end of its stdout.</summary>
    /// <param name="path">absolute path of the program</param>
    /// <param name="arguments">without the program's name</param>
    /// <param name="errors">file that its stderr is appended to</param>
    /// <exception cref="InvalidOperationException">it could not be started</exception>
    public static int Start(
        string path, IReadOnlyList<string> arguments, string errors, out SafeFileHandle output) =>
        Start(path, arguments, errors, null, out output);

    /// <summary>
    /// The same for a helper that gets a descriptor of ours as its number <see cref="Inherited"/>, and whose
    /// stderr goes where its stdout does.
    /// </summary>
    /// <exception cref="InvalidOperationException">it could not be started</exception>
    public static int Start(
        string path, IReadOnlyList<string> arguments, SafeFileHandle inherited, out SafeFileHandle output) =>
        Start(path, arguments, null, inherited, out output);

    /// <summary>The number under which a helper finds the descriptor that it was given.</summary>
    public const int Inherited = 3;

    private static int Start(
        string path, IReadOnlyList<string> arguments, string? errors, SafeFileHandle? inherited,
        out SafeFileHandle output)
    {
        int* pipe = stackalloc int[2];
        Check(Pipe(pipe, CloseOnExec) == 0 ? 0 : Marshal.GetLastPInvokeError(), "pipe");
        output = new SafeFileHandle(pipe[0], ownsHandle: true);
        byte** argv = Strings([path, .. arguments]);
        byte** environment = Strings(EnvironmentWords());
        byte* actions = (byte*)NativeMemory.AllocZeroed(ActionsBytes);
        byte* attributes = (byte*)NativeMemory.AllocZeroed(AttributesBytes);
        try
        {
            AddActions(actions, pipe[1], errors, inherited);
            AddAttributes(attributes);
            int pid;
            Check(Spawn(&pid, path, actions, attributes, argv, environment), path);
            return pid;
        }
        catch
        {
            output.Dispose();
            throw;
        }
        finally
        {
            _ = Libc.Close(pipe[1]);
            Free(argv);
            Free(environment);
            _ = DestroyActions(actions);
            NativeMemory.Free(actions);
            NativeMemory.Free(attributes);
        }
    }

    private static void AddActions(byte* actions, int output, string? errors, SafeFileHandle? inherited)
    {
        Check(InitActions(actions), "posix_spawn_file_actions_init");
        Check(AddOpen(actions, 0, "/dev/null", 0, 0), "addopen");
        Check(AddDup2(actions, output, 1), "adddup2");
        Check(errors == null ? AddDup2(actions, 1, 2)
            : AddOpen(actions, 2, errors, WriteOnly | Create | Append, 0x180 /* 0600 */), "stderr");
        if (inherited != null)
        {
            Check(AddDup2(actions, (int)inherited.DangerousGetHandle(), Inherited), "adddup2");
        }
        Check(AddCloseFrom(actions, inherited == null ? Inherited : Inherited + 1), "addclosefrom");
    }

    private static void AddAttributes(byte* attributes)
    {
        Check(InitAttributes(attributes), "posix_spawnattr_init");
        byte* signals = stackalloc byte[SignalSetBytes];
        _ = EmptySignals(signals);
        Check(SetMask(attributes, signals), "setsigmask");
        _ = FillSignals(signals);
        Check(SetDefault(attributes, signals), "setsigdefault");
        Check(SetFlags(attributes, SetSession | SetSignalMask | SetSignalDefault), "setflags");
    }

    /// <summary>Waits for a child's end. Its exit status; -1 when a signal ended it.</summary>
    public static int AwaitExit(int pid)
    {
        const int interrupted = 4;
        int status;
        while (WaitPid(pid, &status, 0) < 0 && Marshal.GetLastPInvokeError() == interrupted)
        {
        }
        return (status & 0x7f) == 0 ? status >> 8 & 0xff : -1;
    }

    /// <summary>Takes the exit status of an ended child, so that it does not stay as a zombie.</summary>
    /// <returns>true when it had ended, or is no child of this process</returns>
    public static bool Reap(int pid)
    {
        int status;
        return WaitPid(pid, &status, NoHang) != 0;
    }

    /// <summary>Points this process's own stdout at /dev/null, once nobody is to read it any more.</summary>
    public static void DropOutput()
    {
        int fd = Open("/dev/null", WriteOnly | CloseOnExec, 0);
        if (fd >= 0)
        {
            _ = Dup2(fd, 1);
            _ = Libc.Close(fd);
        }
    }

    /// <summary>Sends a signal (kill(2)); false when there is no such process.</summary>
    public static bool Signal(int pid, int signal) => Kill(pid, signal) == 0;

    private static void Check(int error, string what)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"{what}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
    }

    private static List<string> EnvironmentWords()
    {
        List<string> words = [];
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            words.Add($"{variable.Key}={variable.Value}");
        }
        return words;
    }

    private static byte** Strings(IReadOnlyList<string> words)
    {
        byte** array = (byte**)NativeMemory.AllocZeroed((nuint)words.Count + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < words.Count; i++)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(words[i]);
            array[i] = (byte*)NativeMemory.AllocZeroed((nuint)bytes.Length + 1);
            bytes.CopyTo(new Span<byte>(array[i], bytes.Length));
        }
        return array;
    }

    private static void Free(byte** array)
    {
        for (byte** word = array; *word != null; word++)
        {
            NativeMemory.Free(*word);
        }
        NativeMemory.Free(array);
    }

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    private static partial int Pipe(int* descriptors, int flags);

    [LibraryImport(
        "libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Dup2(int from, int to);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    private static partial int WaitPid(int pid, int* status, int options);

    [LibraryImport("libc", EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Spawn(
        int* pid, string path, byte* actions, byte* attributes, byte** argv, byte** environment);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int InitActions(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int DestroyActions(byte* actions);

    [LibraryImport(
        "libc", EntryPoint = "posix_spawn_file_actions_addopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int AddOpen(byte* actions, int fd, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int AddDup2(byte* actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addclosefrom_np")]
    private static partial int AddCloseFrom(byte* actions, int from);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static partial int InitAttributes(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static partial int SetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static partial int SetMask(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static partial int SetDefault(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "sigemptyset")]
    private static partial int EmptySignals(byte* signals);

    [LibraryImport("libc", EntryPoint = "sigfillset")]
    private static partial int FillSignals(byte* signals);
}
