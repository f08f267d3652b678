#if SOFT_ENGINE
using System;
using System.IO;
using System.Linq;
using Ryokan.Engine.Soft;
using Ryokan.Engine.Soft.Stored;
using Ryokan.Isa.Tests.Generate;
using Ryokan.Isa.Tests.Harness;
using Xunit;

namespace Ryokan.Isa.Tests;

/// <summary>Translations that one engine noted, made again into a store, run in another engine: host against that.</summary>
public sealed class StoredTranslationTests : IDisposable
{
    private const ulong Seed = 7_000_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("ryokan-store").FullName;

    private string Store => Path.Combine(_folder, "store");

    private string Journal => Path.Combine(_folder, "journal");

    private string Rest => Path.Combine(_folder, "rest");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private SoftEngineOptions FromStore => new() { Store = Store, Journal = Rest };

    /// <summary>Runs the same cases each time; what the engine had to translate is in its journal.</summary>
    private static void RunCases(SoftEngineOptions options)
    {
        using EngineRunner engine = new(frames => new SoftEngine(frames, default, options), keepsDeadFlags: !options.FlagLiveness);
        Campaign campaign = new(Bench.HostSide, engine) { MaxFailures = 5 };
        CaseSource.Random(64, Seed, 600, campaign.Run);
        CaseSource.Random(32, Seed, 150, campaign.Run);
        Assert.True(campaign.Failed == 0, string.Join("\n", campaign.Failures.Select(f => f.Text)));
    }

    private long Make()
    {
        RunCases(new SoftEngineOptions { Journal = Journal });
        return StoreBuilder.Build(Journal, Store, new SoftEngineOptions()).All;
    }

    private long RestOf(SoftEngineOptions options)
    {
        RunCases(options);
        return new FileInfo(Rest).Length;
    }

    [Fact]
    public void What_one_engine_translated_runs_in_the_next()
    {
        long made = Make(), noted = new FileInfo(Journal).Length;
        Assert.True(made > 2000, $"{made} translations in the store");
        long rest = RestOf(FromStore);
        Assert.True(rest < noted / 20, $"{rest} of {noted} bytes were noted again");

        Assert.Equal((0, made), StoreBuilder.Build(Journal, Store, new SoftEngineOptions()));
        StoreBuilder.Build(Rest, Store, new SoftEngineOptions());
        Assert.True(RestOf(FromStore) <= rest);
    }

    [Fact]
    public void A_store_of_other_options_is_not_used()
    {
        Make();
        long noted = new FileInfo(Journal).Length;
        Assert.True(RestOf(FromStore with { Grouping = false }) > noted * 9 / 10);
    }

    [Fact]
    public void A_damaged_store_costs_time_only()
    {
        Make();
        byte[] good = File.ReadAllBytes(Store);
        Random random = new(1);
        byte[] bad = [.. good];
        for (int n = 0; n < good.Length / 200; n++)
        {
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
        }
        const int headBytes = 1048;
        good.AsSpan(0, headBytes).CopyTo(bad); // which would have it refused as a whole
        File.WriteAllBytes(Store, bad);
        Assert.True(RestOf(FromStore) > 0);
        bad.AsSpan(headBytes).Fill(0xff);
        File.WriteAllBytes(Store, bad);
        Assert.True(RestOf(FromStore) > 0);
        foreach (int length in (int[])[0, 1, headBytes - 1, headBytes, good.Length / 2, good.Length - 1])
        {
            File.WriteAllBytes(Store, good[..length]);
            Assert.True(RestOf(FromStore) > 0);
        }
        File.Delete(Store);
        Assert.True(RestOf(FromStore) > 0);
    }

    [Fact]
    public void A_store_does_not_grow_without_end()
    {
        const long most = 1 << 20;
        long made = Make();
        Assert.True(new FileInfo(Store).Length > most);
        for (int round = 0; round < 3; round++)
        {
            long all = StoreBuilder.Build(Journal, Store, new SoftEngineOptions(), most).All;
            Assert.InRange(all, 100, made - 1);
            Assert.InRange(new FileInfo(Store).Length, most / 4, most);
        }
        RunCases(FromStore);
    }

    [Fact]
    public void A_journal_is_not_believed()
    {
        RunCases(new SoftEngineOptions { Journal = Journal });
        byte[] good = File.ReadAllBytes(Journal);
        Random random = new(2);
        for (int round = 0; round < 40; round++)
        {
            byte[] bad = [.. good.AsSpan(random.Next(good.Length / 2), good.Length / 8)];
            for (int n = 0; n < 1 << random.Next(12); n++)
            {
                bad[random.Next(bad.Length)] = (byte)random.Next(256);
            }
            File.WriteAllBytes(Journal, round % 2 == 0 ? bad : [.. good.AsSpan(0, good.Length / 40 * round), .. bad]);
            StoreBuilder.Build(Journal, Store, new SoftEngineOptions());
        }
        RunCases(FromStore);

        using (FileStream file = File.OpenWrite(Journal))
        {
            file.SetLength(1L << 40); // nothing of it is there
        }
        Assert.Throws<IOException>(() => StoreBuilder.Build(Journal, Store, new SoftEngineOptions()));
        RunCases(FromStore);
    }
}
#endif
