using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Isa.Tests.Generate;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>A failing case, made as small as it gets.</summary>
public sealed record Failure(string Name, string Class, string Text);

/// <summary>Runs generated cases on two sides and keeps what differs.</summary>
/// <param name="host">the host CPU</param>
/// <param name="other">what is tested against it</param>
public sealed class Campaign(ICaseRunner host, ICaseRunner other)
{
    /// <summary>Failures beyond this are counted, not reduced.</summary>
    public int MaxFailures { get; init; } = 40;

    /// <summary>Told of each case before it runs, for a supervisor that wants to know what killed us.</summary>
    public Action<string>? Starting { get; init; }

    /// <summary>Whether failing cases are made smaller.</summary>
    public bool Reduces { get; init; } = true;

    /// <summary>Cases up to and with this one are left out.</summary>
    public string? SkipThrough { get; set; }

    public List<Failure> Failures { get; } = [];

    public int Cases { get; private set; }

    public int Failed { get; private set; }

    /// <summary>Cases that ran to their last ud2 on the host: the rest ended early with a fault.</summary>
    public int Completed { get; private set; }

    public int Instructions { get; private set; }

    public List<Difference> Compare(TestCase test)
    {
        host.Load(test);
        other.Load(test);
        RunResult expected = host.Run(test.Initial);
        RunResult actual = other.Run(test.Initial);
        LastHostEnd = expected;
        return Comparison.Compare(test, expected, host, actual, other);
    }

    private RunResult LastHostEnd { get; set; } = new();

    /// <summary>Told to print failures as they are found.</summary>
    public Action<Failure>? Found { get; init; }

    public void Run(CaseBuilder builder, GeneratedCase generated)
    {
        if (SkipThrough != null)
        {
            SkipThrough = SkipThrough == generated.Test.Name ? null : SkipThrough;
            return;
        }
        Starting?.Invoke(generated.Test.Name);
        Cases++;
        Instructions += generated.Test.Instructions.Count;
        List<Difference> differences = Compare(generated.Test);
        Completed += LastHostEnd.Vector == X86.ExceptionVector.InvalidOpcode ? 1 : 0;
        if (differences.Count == 0)
        {
            return;
        }
        Failed++;
        if (Failures.Count >= MaxFailures)
        {
            return;
        }
        string kind = Kind(differences);
        GeneratedCase small = !Reduces ? generated : Reducer.Reduce(builder, generated, t => Kind(Compare(t)) == kind);
        differences = Compare(small.Test);
        string text = CaseReport.Describe(small.Test, differences);
        var failure = new Failure(generated.Test.Name, CaseReport.ClassOf(small.Test, differences), text);
        Failures.Add(failure);
        Found?.Invoke(failure);
    }

    /// <summary>Keeps a reduction from wandering off to another failure: the area, and how the runs end.</summary>
    private static string Kind(List<Difference> differences) => differences.Count == 0 ? ""
        : differences[0].Area == "end" ? string.Concat(differences[0].Text.Where(c => !char.IsAsciiHexDigit(c)))
        : differences[0].Area;
}
