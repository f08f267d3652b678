using System;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>A theory that an ordinary user cannot run: skipped by name then.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute(string reason) =>
        Skip = Environment.IsPrivilegedProcess ? null : $"needs root: {reason}";
}
