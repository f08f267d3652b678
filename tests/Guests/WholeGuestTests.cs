using System;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Ryokan.Guests.Tests;

/// <summary>Stock kernel, stock programs: each guest checks itself and says so on its console.</summary>
public sealed class WholeGuestTests
{
    private const int StressSeconds = 60;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public Task SeesItsCpusMemoryAndHypervisor(int vcpus) => GuestRun.Job(
        "basic", "identity", vcpus, words: ["wanted_memory=256", $"wanted_cpus={vcpus}"]);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task TwentyBootsInARow(int vcpus)
    {
        for (int i = 0; i < 20; i++)
        {
            await GuestRun.BootAndPowerOff(vcpus);
        }
    }

    [Fact]
    public Task ExchangesMemoryForContiguousFrames() => GuestRun.Job(
        "basic", "contiguous", memory: 384, words: ["iommu=soft", "swiotlb=force"]);

    [Fact]
    public Task LockedInstructionsAreAtomicInPagesOfCode() => GuestRun.Job("basic", "atomics", vcpus: 4);

    [Fact]
    public Task RunsThirtyTwoBitPrograms() => GuestRun.Job("basic", "i386");

    [Fact]
    public Task OpenSslKnowsItsTestVectors() => GuestRun.Job("programs", "openssl", memory: 768);

    [Fact]
    public Task ArchivesAreWhole() => GuestRun.Job("programs", "compress", memory: 768);

    [Fact]
    public Task CompilerMakesProgramsThatWork() => GuestRun.Job("programs", "compiler", vcpus: 2, memory: 768);

    [Fact]
    public Task PythonPassesItsOwnTests() =>
        GuestRun.Job("python", "python", vcpus: 2, memory: 768, limitSeconds: 900);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public Task StressIsVerified(int vcpus) => GuestRun.Job(
        "stress", "stress", vcpus, memory: 512, limitSeconds: StressSeconds + 180, words: [$"seconds={StressSeconds}"]);

    /// <summary>The guest's date is the host's, and its seconds are as long as the host's.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task ClocksAgreeWithTheHost(int vcpus)
    {
        const double dateTolerance = 0.5, rateTolerance = 0.001;
        GuestRun run = await GuestRun.Job("basic", "time", vcpus, words: ["seconds=30"]);
        ConsoleLine[] clocks = [.. run.Console.Where(l => l.Text.StartsWith("CLOCK ", StringComparison.Ordinal))];
        Assert.Equal(10, clocks.Length);
        ConsoleLine begin = Soonest(clocks[..5]), end = Soonest(clocks[5..]);
        (double Real, double Monotonic) first = Parse(begin.Text), last = Parse(end.Text);

        Assert.InRange(first.Real - begin.HostUnixSeconds, -dateTolerance, dateTolerance);
        Assert.InRange(last.Real - end.HostUnixSeconds, -dateTolerance, dateTolerance);

        double host = end.HostMonotonicSeconds - begin.HostMonotonicSeconds;
        Assert.InRange((last.Monotonic - first.Monotonic) / host, 1 - rateTolerance, 1 + rateTolerance);
    }

    /// <summary>The line that was least on its way from the guest's clock to ours: a busy host holds some up.</summary>
    private static ConsoleLine Soonest(ConsoleLine[] lines) => lines.MaxBy(l => Parse(l.Text).Real - l.HostUnixSeconds);

    private static (double Real, double Monotonic) Parse(string line)
    {
        string[] words = line.Split(' ');
        return (double.Parse(words[1], CultureInfo.InvariantCulture),
            double.Parse(words[2], CultureInfo.InvariantCulture));
    }
}
