using System.Diagnostics;
using Ryokan.Linux.Interop;
using Xunit;

namespace Ryokan.Backends.Tests.Network;

/// <summary>A process is known by what it was started with, and killed only while it is that one.</summary>
public sealed class ForeignProcessTests
{
    [Fact]
    public void AProcessIsKnownByItsArgumentsUntilItEnds()
    {
        using Process sleeper = Process.Start("sleep", ["61.25"]);
        using ForeignProcess? process = ForeignProcess.Open(sleeper.Id);
        Assert.NotNull(process);
        Assert.True(process.HasArgument("61.25"));
        Assert.False(process.HasArgument("61.2"));
        Assert.False(process.HasArgument("/tmp/another"));
        process.Kill();
        sleeper.WaitForExit();
        Assert.Equal(128 + 9, sleeper.ExitCode);
        Assert.False(process.HasArgument("61.25"));
        process.Kill(); // of one that has ended: nothing
        Assert.Null(ForeignProcess.Open(sleeper.Id));
    }
}
