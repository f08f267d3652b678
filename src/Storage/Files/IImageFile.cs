using System;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage.Files;

/// <summary>
/// What an image format stands on: a host file, or a stand-in that cuts the power. Thread-safe; every
/// failure is
/// a <see cref="DiskException"/> that names the file.
/// </summary>
internal interface IImageFile : IDisposable
{
    string Path { get; }

    bool IsReadOnly { get; }

    /// <summary>A file can be made longer; what is added reads as zeroes. A block device cannot.</summary>
    bool CanGrow { get; }

    /// <summary>Size in bytes as of now.</summary>
    ulong Length { get; }

    /// <summary>Fills the destination; what lies past the end reads as zeroes.</summary>
    void Read(ulong offset, Span<byte> destination);

    /// <inheritdoc cref="Read(ulong, Span{byte})"/>
    void Read(ulong offset, ReadOnlySpan<IoVector> destination);

    void Write(ulong offset, ReadOnlySpan<byte> source);

    void Write(ulong offset, ReadOnlySpan<IoVector> source);

    /// <summary>The range reads as zeroes from now on.</summary>
    void WriteZeroes(ulong offset, ulong length);

    /// <summary>Gives the range back to the host where it can be; it may read as zeroes or as
    /// before.</summary>
    void Discard(ulong offset, ulong length);

    /// <summary>What was written before is on stable storage.</summary>
    void Sync();

    void SetLength(ulong bytes);
}
