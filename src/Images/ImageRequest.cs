using System.Collections.Generic;
using Ryokan.Storage;

namespace Ryokan.Images;

/// <summary>A root disk that is to be made.</summary>
/// <param name="Name">of the image</param>
/// <param name="Release">code name of the Debian release</param>
/// <param name="SizeBytes">of the disk</param>
/// <param name="Format">of the image</param>
/// <param name="HostName">of the guest</param>
/// <param name="SshKeys">lines for root's authorized_keys</param>
/// <param name="Packages">beside those that every image has</param>
/// <param name="Mirror">where Debian is taken from; null: where this machine's apt takes it</param>
public sealed record ImageRequest(
    string Name, string Release, ulong SizeBytes, DiskFormat Format, string HostName,
    IReadOnlyList<string> SshKeys, IReadOnlyList<string> Packages, string? Mirror);
