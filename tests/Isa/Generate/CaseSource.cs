using System;
using System.Globalization;
using System.Linq;
using Iced.Intel;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>All generated cases, by kind or by the name that a failure printed.</summary>
public static class CaseSource
{
    public static void Random(int bitness, ulong first, int count, Action<CaseBuilder, GeneratedCase> use)
    {
        var random = new RandomCases(bitness);
        for (int i = 0; i < count; i++)
        {
            (CaseBuilder builder, GeneratedCase generated) = random.Make(first + (ulong)i);
            use(builder, generated);
        }
    }

    /// <param name="prefix">only forms whose name begins so</param>
    public static void Systematic(
        int bitness, ulong seed, int stride, string prefix, Action<CaseBuilder, GeneratedCase> use)
    {
        foreach (CatalogEntry entry in InstructionCatalog.For(bitness))
        {
            if (entry.Code.ToString().StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            {
                foreach ((CaseBuilder builder, GeneratedCase generated) in
                    SystematicCases.For(entry, bitness, seed, stride))
                {
                    use(builder, generated);
                }
            }
        }
    }

    /// <summary>The case with the name that <see cref="Harness.CaseReport"/> gives.</summary>
    /// <exception cref="ArgumentException">no such case</exception>
    public static (CaseBuilder Builder, GeneratedCase Case) ByName(string name)
    {
        switch (name.Split(' '))
        {
            case ["random", var bitness, var seed]:
                return new RandomCases(Int(bitness)).Make(ulong.Parse(seed, CultureInfo.InvariantCulture));
            case ["systematic", var code, var bitness, var seed, var stride, var number]:
                CatalogEntry entry = InstructionCatalog.For(Int(bitness)).First(e => e.Code == Enum.Parse<Code>(code));
                return SystematicCases.For(entry, Int(bitness), ulong.Parse(seed, CultureInfo.InvariantCulture), Int(stride))
                    .First(c => c.Case.Test.Name.EndsWith(' ' + number, StringComparison.Ordinal));
            default:
                throw new ArgumentException($"'{name}' is not the name of a generated case");
        }
    }

    private static int Int(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
