using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Isa.Tests.Harness;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>Makes a failing case smaller by leaving out instructions for as long as it still fails.</summary>
public static class Reducer
{
    public static GeneratedCase Reduce(CaseBuilder builder, GeneratedCase failing, Func<TestCase, bool> fails)
    {
        GeneratedCase best = failing;
        for (int chunk = Math.Max(1, failing.Blob.Items.Count / 2); chunk >= 1; chunk /= 2)
        {
            for (int at = 0; at < best.Blob.Items.Count;)
            {
                GeneratedCase? smaller = Without(builder, best, at, chunk);
                if (smaller != null && fails(smaller.Test))
                {
                    best = smaller;
                }
                else
                {
                    at += chunk;
                }
            }
        }
        return best;
    }

    private static GeneratedCase? Without(CaseBuilder builder, GeneratedCase from, int at, int count)
    {
        List<BlobItem> items = from.Blob.Items;
        bool Stays(BlobItem item, int i) => i < at || i >= at + count || item.IsLabel || item.Pinned;
        List<BlobItem> kept = [.. items.Where(Stays)];
        if (kept.Count == items.Count)
        {
            return null;
        }
        Blob smaller = from.Blob.With(kept);
        TestCase? test = builder.TryMake(smaller);
        return test == null ? null : new GeneratedCase(smaller, test);
    }
}
