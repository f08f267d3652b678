using System;
using System.Globalization;
using System.IO;

namespace Ryokan.Backends.Network.Ports;

/// <summary>A file for a moment, in which a program says its process's number; it may have given up root's rights before it does, so everybody may write.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("ryokan-pid-");

    /// <exception cref="IOException">there is no room for it</exception>
    public PidFile()
    {
        const UnixFileMode everybodyWrites = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;
        const UnixFileMode everybodyEnters = UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        try
        {
            File.WriteAllText(Path, "");
            File.SetUnixFileMode(Path, everybodyWrites);
            _folder.UnixFileMode |= everybodyEnters;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Path => System.IO.Path.Combine(_folder.FullName, "pid");

    /// <summary>Null when it was not said.</summary>
    public int? Read() =>
        int.TryParse(File.ReadAllText(Path).AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 1 ? number : null;

    public void Dispose() => _folder.Delete(recursive: true);
}
