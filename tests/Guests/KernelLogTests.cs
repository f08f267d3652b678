using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.Intrinsics.X86;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Guests.Tests;

/// <summary>The kernel says here what it says on Xen: the same lines, nothing else, nothing less.</summary>
public sealed class KernelLogTests
{
    /// <summary>"Genu" of GenuineIntel; AMD's and Hygon's processors behave alike.</summary>
    private const int IntelEbx = 0x756e6547;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task SaysWhatItSaysOnXen(int vcpus)
    {
        KernelLog here = KernelLog.OfGuest(await GuestRun.Job("basic", "log", vcpus));
        KernelLog onXen = KernelLog.OfFile(Path.Combine(
            GuestRun.RepositoryRoot(), "tests/Guests/kernel-log",
            string.Create(CultureInfo.InvariantCulture, $"{Vendor}-{vcpus}.log")));
        bool sameKernel = here.IsOfTheSameKernelAs(onXen);

        // Another kernel has other news to tell, but no reason to complain.
        string[] unknown = [.. here.NotIn(onXen).Where(l => sameKernel || l.Level <= KernelLog.Warning)
            .Select(l => $"only here: {l}")];
        string[] missing = [.. onXen.MissingIn(here).Where(_ => sameKernel).Select(l => $"only on Xen: {l}")];
        Assert.True(unknown.Length + missing.Length == 0, string.Join('\n', [.. unknown, .. missing]));
    }

    private static string Vendor => X86Base.CpuId(0, 0).Ebx == IntelEbx ? "intel" : "amd";
}
