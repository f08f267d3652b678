using System;
using System.Collections.Generic;
using System.IO;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Diagnostics;

/// <summary>
/// Writes what the engine has made and why it left it, for a person who looks for a slow place: <c>blocks.txt</c> (guest and host
/// code of every translation), <c>counters.txt</c> (exits by kind), and a symbol map that <c>perf report</c> reads
/// (linux/tools/perf/Documentation/jit-interface.txt). Made when the domain ends and an output folder was asked for.
/// </summary>
internal static unsafe class EngineDump
{
    public static void Write(string folder, GuestFrames frames, Routines routines, IReadOnlyList<TranslationBlock> blocks,
        IReadOnlyList<SoftVcpu> vcpus)
    {
        Directory.CreateDirectory(folder);
        using (StreamWriter counters = new(Path.Combine(folder, "counters.txt")))
        {
            foreach (SoftVcpu vcpu in vcpus)
            {
                vcpu.Counters.Write(counters, vcpu.Id, vcpu.InlineFills, vcpu.InlineCodePages);
            }
        }
        using StreamWriter map = new(FormattableString.Invariant($"/tmp/perf-{Environment.ProcessId}.map"));
        foreach ((string name, nint address, int bytes) in routines.All)
        {
            map.WriteLine(FormattableString.Invariant($"{address:x} {bytes:x} routine_{name}"));
        }
        using StreamWriter text = new(Path.Combine(folder, "blocks.txt"));
        foreach (TranslationBlock block in blocks)
        {
            map.WriteLine(FormattableString.Invariant($"{(nint)block.Code:x} {block.CodeBytes:x} {NameOf(block)}"));
            WriteBlock(text, frames, block);
        }
    }

    private static string NameOf(TranslationBlock block) => FormattableString.Invariant(
        $"b{block.Id}_{(block.PageVa != 0 ? block.PageVa : (ulong)block.Key.Frame << 12) + (ulong)block.Key.Offset:x}")
        + $"_{block.Key.Mode.ToString().Replace(", ", "+", StringComparison.Ordinal)}";

    private static void WriteBlock(TextWriter text, GuestFrames frames, TranslationBlock block)
    {
        text.WriteLine($"=== {NameOf(block)} {(block.Valid ? "" : "(retired)")}");
        byte[] guest = new byte[GuestFrames.PageSize + 16];
        new ReadOnlySpan<byte>(frames.Base + block.Key.Frame * GuestFrames.PageSize, GuestFrames.PageSize).CopyTo(guest);
        var reader = new ByteArrayCodeReader(guest);
        var decoder = Decoder.Create((block.Key.Mode & BlockMode.Long) != 0 ? 64 : 32, reader);
        byte[] host = new ReadOnlySpan<byte>(block.Code, block.CodeBytes).ToArray();
        var hostDecoder = Decoder.Create(64, new ByteArrayCodeReader(host));
        var formatter = new NasmFormatter();
        var line = new StringOutput();
        int next = 0;
        while ((int)hostDecoder.IP < host.Length)
        {
            while (next < block.Instructions.Count && (block.Instructions[next] >> 16) <= hostDecoder.IP)
            {
                int at = (int)(block.Instructions[next++] & 0xffff);
                reader.Position = at;
                decoder.IP = (ulong)at;
                formatter.Format(decoder.Decode(), line);
                text.WriteLine(FormattableString.Invariant($"{at:x3}  {line.ToStringAndReset()}"));
            }
            ulong ip = hostDecoder.IP;
            formatter.Format(hostDecoder.Decode(), line);
            text.WriteLine(FormattableString.Invariant($"          {ip,5:x}  {line.ToStringAndReset()}"));
        }
    }
}
