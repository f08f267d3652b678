using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Ryokan.Isa.Tests.Generate;
using Ryokan.Isa.Tests.Harness;
using Xunit;

namespace Ryokan.Isa.Tests;

/// <summary>
/// Generated sequences, host against engine. ISA_SEED and ISA_COUNT make the random part longer or
/// different, ISA_REPEAT="name" makes Random_sequences repeat the one case that a failure named.
/// </summary>
public sealed class GeneratedTests
{
    private const int RandomCount = 20_000, RandomCountOfVariants = 3_000, VariantStride = 12;

    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Every_form_with_every_operand(string variant) =>
        Run(variant, campaign => CaseSource.Systematic(64, 1, IsFirst(variant) ? 1 : VariantStride, "", campaign.Run));

    [Theory]
    [MemberData(nameof(Variants))]
    public void Every_form_in_32_bit_code(string variant) =>
        Run(variant, campaign => CaseSource.Systematic(32, 1, IsFirst(variant) ? 4 : 40, "", campaign.Run));

    [Theory]
    [MemberData(nameof(Variants))]
    public void Random_sequences(string variant) => Run(variant, campaign =>
    {
        if (Environment.GetEnvironmentVariable("ISA_REPEAT") is string name)
        {
            (CaseBuilder builder, GeneratedCase generated) = CaseSource.ByName(name);
            campaign.Run(builder, generated);
            return;
        }
        CaseSource.Random(64, Seed, Count(variant, 1), campaign.Run);
    });

    [Theory]
    [MemberData(nameof(Variants))]
    public void Random_sequences_of_32_bit_code(string variant) =>
        Run(variant, campaign => CaseSource.Random(32, Seed, Count(variant, 5), campaign.Run));

    private static bool IsFirst(string variant) => variant == (Sides.EngineVariants.FirstOrDefault() ?? Sides.Host);

    private static ulong Seed => ulong.Parse(
        Environment.GetEnvironmentVariable("ISA_SEED") ?? "1000000", CultureInfo.InvariantCulture);

    private static int Count(string variant, int share)
    {
        string? count = Environment.GetEnvironmentVariable("ISA_COUNT");
        return count != null ? int.Parse(count, CultureInfo.InvariantCulture)
            : (IsFirst(variant) ? RandomCount : RandomCountOfVariants) / share;
    }

    private static void Run(string variant, Action<Campaign> work)
    {
        var campaign = new Campaign(Bench.HostSide, Bench.Other(variant)) { MaxFailures = 25 };
        work(campaign);
        if (campaign.Failed > 0)
        {
            IEnumerable<string> classes = campaign.Failures.GroupBy(f => f.Class).OrderByDescending(g => g.Count())
                .Select(g => $"{g.Count()} x {g.Key}\n{g.First().Text}");
            Assert.Fail($"{campaign.Failed} of {campaign.Cases} cases differ:\n{string.Join("\n", classes)}");
        }
    }
}
