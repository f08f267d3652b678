using System;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>A network namespace with the bridge xenbr0, 10.77.0.1/24, that goes with the test.</summary>
internal sealed class BridgedNamespace : IDisposable
{
    public const string Address = "10.77.0.1";

    public BridgedNamespace()
    {
        Name = $"ryokan-{Environment.ProcessId}-{Guid.NewGuid().ToString("N")[..6]}";
        Ip($"netns add {Name}");
        Ip($"-n {Name} link set lo up");
        Ip($"-n {Name} link add xenbr0 type bridge");
        Ip($"-n {Name} addr add {Address}/24 dev xenbr0");
        Ip($"-n {Name} link set xenbr0 up");
    }

    public string Name { get; }

    /// <summary>Names of the tap devices on the bridge.</summary>
    public string[] Ports() => [.. Array.ConvertAll(
        Ip($"-n {Name} -o link show master xenbr0").Split('\n', StringSplitOptions.RemoveEmptyEntries),
        l => l.Split(' ')[1].TrimEnd(':'))];

    private static string Ip(string words)
    {
        using Process process = Process.Start(new ProcessStartInfo("ip", words)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"ip {words}: {errors}{output.Result}");
        return output.Result;
    }

    public void Dispose() => Ip($"netns del {Name}");
}
