using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using Ryokan.Api;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Domains;

/// <summary>How the last domains ended, for those who ask afterwards; survives the daemon.</summary>
internal sealed class EndedDomains(string directory)
{
    private const int MaxKept = 64;

    public void Add(DomainEnd end)
    {
        AtomicFile.Write(PathOf(end.Id), JsonSerializer.SerializeToUtf8Bytes(end, ApiJson.Default.DomainEnd));
        foreach (FileInfo old in new DirectoryInfo(directory).EnumerateFiles("*.json")
            .OrderByDescending(f => f.LastWriteTimeUtc).Skip(MaxKept))
        {
            old.Delete();
        }
    }

    public DomainEnd? Find(int id)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(PathOf(id)), ApiJson.Default.DomainEnd);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    private string PathOf(int id) =>
        Path.Combine(directory, id.ToString(CultureInfo.InvariantCulture) + ".json");
}
