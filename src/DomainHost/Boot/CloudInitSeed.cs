using System;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading.Tasks;

namespace Ryokan.DomainHost.Boot;

/// <summary>
/// The disk that cloud-init's NoCloud data source looks for: an ISO 9660 file system labelled "cidata" with
/// the files
/// user-data and meta-data (cloud-init documentation, "NoCloud"). genisoimage or xorriso makes it.
/// </summary>
internal static class CloudInitSeed
{
    private const int MaxUserDataBytes = 1 << 20;

    /// <summary>Makes the disk.</summary>
    /// <param name="userData">path of the user-data</param>
    /// <param name="name">the guest's, which becomes its host name</param>
    /// <param name="uuid">the guest's: cloud-init runs again when it changes</param>
    /// <exception cref="OperatorException">it cannot be made; one line</exception>
    public static MemoryFile Make(string userData, string name, Guid uuid)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("ryokan-seed-");
        try
        {
            byte[] contents = File.ReadAllBytes(userData);
            if (contents.Length > MaxUserDataBytes)
            {
                throw new OperatorException($"cloudinit: {userData}: larger than {MaxUserDataBytes} bytes");
            }
            File.WriteAllBytes(Path.Combine(folder.FullName, "user-data"), contents);
            File.WriteAllText(Path.Combine(folder.FullName, "meta-data"),
                $"instance-id: {uuid}\nlocal-hostname: {HostName(name)}\n");
            return new MemoryFile("cidata", Run(folder.FullName));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new OperatorException($"cloudinit: {userData}: {e.Message}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>What a host name cannot have becomes a hyphen.</summary>
    private static string HostName(string name)
    {
        StringBuilder host = new(name);
        for (int i = 0; i < host.Length; i++)
        {
            host[i] = char.IsAsciiLetterOrDigit(host[i]) || host[i] == '.' ? host[i] : '-';
        }
        return host.ToString().Trim('-', '.');
    }

    private static byte[] Run(string folder)
    {
        string[] options = 
            ["-quiet", "-volid", "cidata", "-joliet", "-rational-rock", "user-data", "meta-data"];
        return TryRun(folder, "genisoimage", options)
            ?? TryRun(folder, "xorriso", ["-as", "genisoimage", "-o", "-", .. options])
            ?? throw new OperatorException("cloudinit: needs genisoimage or xorriso to make the seed disk;"
                + " as root: apt-get install genisoimage");
    }

    /// <summary>What the program writes; null when it is not installed.</summary>
    private static byte[]? TryRun(string folder, string program, string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            using MemoryStream image = new();
            process.StandardOutput.BaseStream.CopyTo(image);
            process.WaitForExit();
            return process.ExitCode == 0 && image.Length > 0 ? image.ToArray() : throw new OperatorException(
                $"cloudinit: {program}: status {process.ExitCode}: "
                + errors.Result.Trim().ReplaceLineEndings("; "));
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
