using System;
using System.IO;

namespace Ryokan.DomainHost.Console;

/// <summary>
/// A guest's console in a file. The guest decides what it writes, so the file is bounded: when it is full it
/// becomes FILE.1 (replacing the last one) and a new one is begun.
/// </summary>
internal sealed class ConsoleLog : IConsoleListener, IDisposable
{
    public const long MaxBytes = 16 << 20;

    private readonly string _path;
    private FileStream? _file;

    /// <summary>
    /// Appends to the file; without one when it cannot be opened (the guest runs all the same).
    /// </summary>
    public ConsoleLog(string path)
    {
        _path = path;
        Open();
    }

    private void Open()
    {
        try
        {
            _file = new FileStream(_path, new FileStreamOptions
            {
                Mode = FileMode.Append,
                Access = FileAccess.Write,
                Share = FileShare.ReadWrite | FileShare.Delete,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                BufferSize = 0,
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
        }
    }

    public void Output(ReadOnlySpan<byte> text)
    {
        try
        {
            _file?.Write(text);
            if (_file is { Length: > MaxBytes })
            {
                _file.Dispose();
                File.Move(_path, _path + ".1", overwrite: true);
                Open();
            }
        }
        catch (IOException e)
        {
            Fail(e);
        }
    }

    private void Fail(Exception e)
    {
        System.Console.Error.WriteLine($"console log {_path}: {e.Message}");
        _file?.Dispose();
        _file = null;
    }

    public void Dispose() => _file?.Dispose();
}
