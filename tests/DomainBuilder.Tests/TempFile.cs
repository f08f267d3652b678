using System;
using System.IO;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>A file that goes away again.</summary>
internal sealed class TempFile : IDisposable
{
    public string Path { get; } = System.IO.Path
        .Combine(System.IO.Path.GetTempPath(), $"ryokan-{Guid.NewGuid():n}");

    public TempFile(byte[] content) => File.WriteAllBytes(Path, content);

    public void Dispose() => File.Delete(Path);
}
