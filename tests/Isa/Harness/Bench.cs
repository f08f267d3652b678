using System;
using System.Collections.Generic;
using Xunit;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>
/// The two sides of a comparison, opened once and kept: a test class asks for a variant by name. Tests of
/// this assembly run one after the other.
/// </summary>
public static class Bench
{
    private static readonly Lazy<NativeRunner> s_host = new(() => new NativeRunner());
    private static readonly Dictionary<string, ICaseRunner> s_others = [];

    public static NativeRunner HostSide => s_host.Value;

    public static ICaseRunner Other(string variant)
    {
        lock (s_others)
        {
            if (!s_others.TryGetValue(variant, out ICaseRunner? runner))
            {
                runner = Sides.Open(variant);
                s_others.Add(variant, runner);
            }
            return runner;
        }
    }

    /// <summary>Every engine variant; the host itself as long as there is no engine.</summary>
    public static TheoryData<string> Variants
    {
        get
        {
            var data = new TheoryData<string>();
            foreach (string name in Sides.EngineVariants)
            {
                data.Add(name);
            }
            if (Sides.EngineVariants.Count == 0)
            {
                data.Add(Sides.Host);
            }
            return data;
        }
    }

    /// <summary>Runs a case in both modes on both sides; fails with a report when they differ.</summary>
    public static void Check(string variant, HandCase hand)
    {
        foreach (bool kernelMode in new[] { false, true })
        {
            Check(variant, hand.Build(kernelMode));
        }
    }

    public static RunResult Check(string variant, TestCase test)
    {
        ICaseRunner other = Other(variant);
        HostSide.Load(test);
        other.Load(test);
        RunResult expected = HostSide.Run(test.Initial), actual = other.Run(test.Initial);
        Expect(test, expected, actual, other);
        return expected;
    }

    public static void Expect(TestCase test, RunResult expected, RunResult actual, ICaseRunner other)
    {
        List<Difference> differences = Comparison.Compare(test, expected, HostSide, actual, other);
        if (differences.Count > 0)
        {
            Assert.Fail(CaseReport.Describe(test, differences));
        }
    }
}
