using System;
using Ryokan.Isa.Tests.Harness;

namespace Ryokan.Isa.Tests;

/// <summary>
/// The test assembly as a command, for long runs and for an engine that still crashes:
/// <c>isa random FIRST-SEED COUNT [VARIANT]</c>, <c>isa systematic STRIDE [VARIANT] [CODE-PREFIX]</c>,
/// <c>isa repeat "NAME" [VARIANT]</c>. With the environment variable ISA_SUPERVISE=1 a child does the work
/// and is started again behind the case that killed it.
/// </summary>
public static class Program
{
    public static int Main(string[] arguments) => Command.Run(arguments, Console.Out);
}
