using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>
/// Runs sequences on the host CPU, in a child process (<c>Native/oracle.c</c>) with which it shares the
/// frames: a wild store or a dead child costs one case, not the test run.
/// </summary>
public sealed unsafe class NativeRunner : ICaseRunner
{
    private const int FirstFrame = 16, CommandRun = 1, CommandMap = 2, StatusTimeout = 1;
    private const int InOffset = 1024, OutOffset = InOffset + CpuState.Bytes, MappingBytes = 16;
    private const int MappingOffset = OutOffset + CpuState.Bytes;

    private readonly GuestFrames _frames = new(FirstFrame + AddressLayout.MaxFrames, 1, shared: true);
    private readonly byte[] _message = new byte[1];
    private Process _process;
    private AddressLayout? _layout;
    private bool _kernelMode;

    /// <exception cref="InvalidOperationException">no C compiler, or the oracle does not start</exception>
    public NativeRunner() => _process = Start();

    private ref int Command => ref *(int*)_frames.Base;

    private ref int Status => ref *(int*)(_frames.Base + 4);

    private ulong Word(int index) => ((ulong*)_frames.Base)[index];

    public bool KeepsDeadFlags => true;

    public Span<byte> Frame(int frame) => _frames.Span((ulong)(FirstFrame + frame));

    public void Load(TestCase test)
    {
        _kernelMode = test.KernelMode;
        if (!ReferenceEquals(test.Layout, _layout))
        {
            Map(test.Layout);
        }
        foreach (int frame in test.Layout.Frames)
        {
            test.FrameContent(frame).CopyTo(Frame(frame));
        }
    }

    public RunResult Run(in CpuState start)
    {
        *(CpuState*)(_frames.Base + InOffset) = start;
        var result = new RunResult();
        if (!Ask(CommandRun))
        {
            result.Kind = EndKind.Other;
            result.Detail = $"the oracle died: exit code {_process.ExitCode}";
            Restart();
            return result;
        }
        result.State = *(CpuState*)(_frames.Base + OutOffset);
        result.State.Compatibility = start.Compatibility;
        result.Kind = Status == StatusTimeout ? EndKind.Timeout : EndKind.Exception;
        result.Vector = (ExceptionVector)Word(1);
        result.Cr2 = Word(3);
        // Both modes of a PV guest run in ring 3, but the guest kernel is told of its own faults without U.
        // Of addresses in the upper half Linux always says that a page is present.
        PageFaultError hidden = (_kernelMode ? PageFaultError.User : 0)
            | ((long)result.Cr2 < 0 ? PageFaultError.Present : 0);
        bool pageFault = result.Vector == ExceptionVector.PageFault;
        result.ErrorCode = (uint)Word(2) & ~(pageFault ? (uint)hidden : 0);
        if (result.Kind == EndKind.Exception && Word(4) == 31 /* SIGSYS */)
        {
            result.Kind = EndKind.Other;
            result.Detail = "system call";
        }
        return result;
    }

    private void Map(AddressLayout layout)
    {
        byte* at = _frames.Base + MappingOffset;
        ((ulong*)_frames.Base)[5] = (ulong)layout.Pages.Count;
        foreach (PageMapping page in layout.Pages)
        {
            *(ulong*)at = page.Va;
            ((int*)at)[2] = page.Frame;
            ((int*)at)[3] = (int)page.Access;
            at += MappingBytes;
        }
        if (!Ask(CommandMap) || Status != 0)
        {
            throw new InvalidOperationException("the oracle cannot map the test's addresses; see its stderr");
        }
        _layout = layout;
    }

    /// <summary>One request; false when the child is gone.</summary>
    private bool Ask(int command)
    {
        Command = command;
        try
        {
            _process.StandardInput.BaseStream.Write(_message);
            _process.StandardInput.BaseStream.Flush();
            if (_process.StandardOutput.BaseStream.Read(_message) == 1)
            {
                return true;
            }
        }
        catch (IOException)
        {
            // The pipe broke: the child is dead, which is what the caller gets to know.
        }
        _process.WaitForExit();
        return false;
    }

    private void Restart()
    {
        _process.Dispose();
        _process = Start();
        AddressLayout? layout = _layout;
        _layout = null;
        if (layout != null)
        {
            Map(layout);
        }
    }

    private Process Start()
    {
        string fd = _frames.FileDescriptor.ToString(CultureInfo.InvariantCulture);
        string pid = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        var info = new ProcessStartInfo(OracleProgram.Path, [pid, fd])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true,
        };
        return Process.Start(info) ?? throw new InvalidOperationException("the oracle did not start");
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
        _frames.Dispose();
    }
}

/// <summary>The compiled oracle; built once per source text with the system's C compiler.</summary>
public static class OracleProgram
{
    private static readonly Lazy<string> s_path = new(Build);

    public static string Path => s_path.Value;

    private static string Build()
    {
        string folder = System.IO.Path.Combine(AppContext.BaseDirectory, "Native");
        string source = System.IO.Path.Combine(folder, "oracle.c");
        string program = System.IO.Path.Combine(folder, "oracle");
        if (File.Exists(program) && File.GetLastWriteTimeUtc(program) >= File.GetLastWriteTimeUtc(source))
        {
            return program;
        }
        string own = $"{program}.{Environment.ProcessId}";
        string[] arguments = ["-O1", "-mno-red-zone", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector", "-o", own, source];
        using Process compiler = Process.Start(new ProcessStartInfo("cc", arguments))
            ?? throw new InvalidOperationException("cc did not start: install gcc");
        compiler.WaitForExit();
        if (compiler.ExitCode != 0)
        {
            throw new InvalidOperationException($"cc could not compile {source}: exit code {compiler.ExitCode}");
        }
        File.Move(own, program, overwrite: true);
        return program;
    }
}
