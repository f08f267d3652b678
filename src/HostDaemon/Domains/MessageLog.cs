using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Ryokan.HostDaemon.Domains;

/// <summary>
/// What <c>xm dmesg</c> shows: what happened to domains, with crash reports. A file of bounded size that
/// survives the daemon; guests can make it grow, so the older half goes when it is full.
/// </summary>
internal sealed class MessageLog(string path)
{
    private const int MaxBytes = 1 << 20;

    private readonly object _lock = new();

    public void Add(string text)
    {
        string stamp = DateTimeOffset.Now.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        StringBuilder lines = new();
        foreach (string line in text.TrimEnd().Split('\n'))
        {
            lines.Append('[').Append(stamp).Append("] ").Append(line.TrimEnd()).Append('\n');
        }
        lock (_lock)
        {
            try
            {
                File.AppendAllText(path, lines.ToString());
                Trim();
            }
            catch (IOException e)
            {
                Console.Error.WriteLine($"{path}: {e.Message}");
            }
        }
    }

    private void Trim()
    {
        if (new FileInfo(path).Length <= MaxBytes)
        {
            return;
        }
        byte[] all = File.ReadAllBytes(path);
        int from = Array.IndexOf(all, (byte)'\n', all.Length - MaxBytes / 2) + 1;
        Api.AtomicFile.Write(path, all.AsSpan(from));
    }

    public byte[] Read()
    {
        lock (_lock)
        {
            return File.Exists(path) ? File.ReadAllBytes(path) : [];
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            File.Delete(path);
        }
    }
}
