using System;
using System.IO;
using Iced.Intel;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>Code written by hand with Iced's assembler.</summary>
public static class MachineCode
{
    /// <param name="va">address of the first byte</param>
    public static byte[] Assemble(Action<Assembler> write, ulong va, int bitness = 64)
    {
        var assembler = new Assembler(bitness);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), va);
        return stream.ToArray();
    }
}
