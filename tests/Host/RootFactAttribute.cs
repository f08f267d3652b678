using System;
using System.IO;
using System.Linq;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>
/// A test that makes network namespaces, bridges and tap devices: for root alone, skipped by name else.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Skip = "needs root: it makes a network namespace with a bridge";
        }
        else if (!File.Exists("/dev/net/tun"))
        {
            Skip = "needs /dev/net/tun";
        }
        else if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/sbin")
            .Any(p => File.Exists(Path.Combine(p, "ip"))))
        {
            Skip = "needs the program ip (iproute2)";
        }
    }
}
