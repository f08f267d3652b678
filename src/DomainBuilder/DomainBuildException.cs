using System;

namespace Ryokan.DomainBuilder;

/// <summary>
/// The domain cannot be built from what the operator gave. The message is one line: the configuration key,
/// the file where there is one, and the reason.
/// </summary>
public sealed class DomainBuildException : Exception
{
    /// <summary>The xl.cfg key at fault: kernel, ramdisk, cmdline or memory.</summary>
    public string Key { get; }

    public DomainBuildException(string key, string? file, string reason)
        : base(file == null ? $"{key}: {reason}" : $"{key}: {file}: {reason}") => Key = key;
}
