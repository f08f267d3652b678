using System;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed on every run time.</summary>
public sealed class Rng(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        _state += 0x9e3779b97f4a7c15;
        ulong z = _state;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    /// <summary>0 .. bound-1.</summary>
    public int Below(int bound) => (int)((Next() >> 33) % (ulong)bound);

    /// <summary>low .. high, both included.</summary>
    public int Between(int low, int high) => low + Below(high - low + 1);

    public bool Percent(int percent) => Below(100) < percent;

    public T Pick<T>(ReadOnlySpan<T> from) => from[Below(from.Length)];

    /// <summary>An independent generator for a part, so that parts do not shift each other.</summary>
    public Rng Fork() => new(Next());

    /// <summary>A value likely to meet an edge: small, all ones, one bit, around a power of two, or anything.</summary>
    public ulong Integer() => Below(8) switch
    {
        0 => (ulong)Below(16),
        1 => (ulong)-Below(16),
        2 => 1UL << Below(64),
        3 => (1UL << Below(64)) - 1,
        4 => (ulong)(long)(int)Next(),
        5 => (uint)Next(),
        _ => Next(),
    };

    public void Fill(Span<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)Next();
        }
    }
}
