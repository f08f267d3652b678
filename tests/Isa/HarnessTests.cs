using System;
using System.Collections.Generic;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Generate;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>The oracle agrees with itself, knows what it should, and can fail.</summary>
public sealed class HarnessTests : IDisposable
{
    private readonly NativeRunner _host = new(), _other = new();

    public void Dispose()
    {
        _host.Dispose();
        _other.Dispose();
    }

    [Fact]
    public void The_host_agrees_with_itself()
    {
        var campaign = new Campaign(_host, _other);
        CaseSource.Random(64, 1, 1500, campaign.Run);
        CaseSource.Random(32, 1, 500, campaign.Run);
        // Random sequences are worth their time when most of them run through; half of the systematic ones are
        // meant to fault.
        Assert.InRange(campaign.Completed, campaign.Cases * 3 / 4, campaign.Cases);
        CaseSource.Systematic(64, 1, 40, "", campaign.Run);
        Assert.Equal(0, campaign.Failed);
    }

    [Fact]
    public void A_sequence_computes_what_the_manual_says()
    {
        TestCase test = new HandCase("sum")
        {
            [Gpr.Rax] = 40, [Gpr.Rbx] = ulong.MaxValue,
        }.Code(a =>
        {
            a.add(rax, 2);
            a.add(ebx, 1);
            a.mov(__qword_ptr[AddressLayout.Data + 8], rax);
            a.ud2();
        }).Build(kernelMode: false);
        _host.Load(test);
        RunResult result = _host.Run(test.Initial);
        Assert.Equal((EndKind.Exception, ExceptionVector.InvalidOpcode), (result.Kind, result.Vector));
        Assert.Equal(42ul, result.State[Gpr.Rax]);
        Assert.Equal(0ul, result.State[Gpr.Rbx]);
        Assert.Equal(Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF, (Rflags)result.State.Rflags & Rflags.Arithmetic);
        Assert.True(test.Layout.TryLocate(AddressLayout.Data, out int frame, out _));
        Assert.Equal(42, _host.Frame(frame)[8]);
    }

    [Fact]
    public void A_page_fault_has_its_address_and_its_error_code()
    {
        TestCase test = new HandCase("fault").Code(a => a.mov(__dword_ptr[AddressLayout.ReadOnly + 4], eax))
            .Build(kernelMode: false);
        _host.Load(test);
        RunResult result = _host.Run(test.Initial);
        Assert.Equal(ExceptionVector.PageFault, result.Vector);
        Assert.Equal(PageFaultError.Present | PageFaultError.Write | PageFaultError.User, (PageFaultError)result.ErrorCode);
        Assert.Equal(AddressLayout.ReadOnly + 4, result.Cr2);
        Assert.Equal(AddressLayout.Code, result.State.Rip);
    }

    [Fact]
    public void A_loop_without_end_is_a_timeout_and_the_oracle_lives_on()
    {
        TestCase test = new HandCase("spin").Code(a => a.jmp(AddressLayout.Code)).Build(kernelMode: false);
        _host.Load(test);
        Assert.Equal(EndKind.Timeout, _host.Run(test.Initial).Kind);
        A_sequence_computes_what_the_manual_says();
    }

    [Fact]
    public void A_system_call_never_reaches_the_kernel()
    {
        TestCase test = new HandCase("exit") { [Gpr.Rax] = 231 /* exit_group */ }.Code(a => a.syscall())
            .Build(kernelMode: false);
        _host.Load(test);
        Assert.Equal("system call", _host.Run(test.Initial).Detail);
    }

    /// <summary>Wrong by one bit in each kind of state, and each is seen.</summary>
    [Theory]
    [InlineData("gpr")]
    [InlineData("rip")]
    [InlineData("base")]
    [InlineData("flags")]
    [InlineData("x87")]
    [InlineData("sse")]
    [InlineData("avx")]
    [InlineData("memory")]
    [InlineData("end")]
    public void A_wrong_result_is_found(string area)
    {
        (_, GeneratedCase generated) = new RandomCases(64).Make(12);
        using var wrong = new CorruptingRunner(_other, area);
        var campaign = new Campaign(_host, wrong);
        Assert.Equal([area], campaign.Compare(generated.Test).Select(d => d.Area).Distinct());
    }

    /// <summary>Wrong by one bit in state that only AVX-512 has.</summary>
    [Theory]
    [InlineData("k6", "opmask")]
    [InlineData("zmm17", "avx512")]
    [InlineData("upper half of zmm3", "avx512")]
    public void A_wrong_result_is_found_in_the_state_of_avx512(string wrongPlace, string area)
    {
        (_, GeneratedCase generated) = new RandomCases(64).Make(12);
        using var wrong = new CorruptingRunner(_other, wrongPlace);
        var campaign = new Campaign(_host, wrong);
        string[] expected = XsaveArea.HasAvx512 ? [area] : [];
        Assert.Equal(expected, campaign.Compare(generated.Test).Select(d => d.Area).Distinct());
    }

    [Fact]
    public void A_failure_is_reduced_to_its_instruction_and_can_be_repeated()
    {
        using var wrong = new CorruptingRunner(_other, "popcnt");
        var campaign = new Campaign(_host, wrong);
        CaseSource.Random(64, 1, 1000, campaign.Run);
        Failure failure = campaign.Failures.First(f => f.Class.Contains("Popcnt", StringComparison.Ordinal));
        Assert.InRange(failure.Class.Split(' ').Length, 2, 3);
        (_, GeneratedCase again) = CaseSource.ByName(failure.Name);
        Assert.NotEmpty(campaign.Compare(again.Test));
    }

    /// <summary>Every form of an offered feature is generated, a branch of the structured kind, or excluded by name.</summary>
    [Fact]
    public void The_catalog_can_encode_every_form_it_holds()
    {
        var missing = new List<Code>();
        foreach (CatalogEntry entry in InstructionCatalog.For(64))
        {
            bool made = false;
            for (ulong seed = 0; seed < 20 && !made; seed++)
            {
                var builder = new CaseBuilder("probe", new Rng(seed), 64);
                made = builder.Synthesizer.TryAdd(entry, new Demand());
            }
            if (!made)
            {
                missing.Add(entry.Code);
            }
        }
        Assert.Empty(missing);
    }

    /// <summary>
    /// Masked operands are generated of which the part that the mask does not select cannot be accessed: the sequence runs
    /// to its end, and faults when the same instructions have no mask.
    /// </summary>
    [Fact]
    public void Masks_that_hide_what_cannot_be_accessed_are_generated()
    {
        int hidden = 0;
        CaseSource.Random(64, 1, 1500, (builder, generated) => hidden += HidesFault(builder, generated) ? 1 : 0);
        Assert.InRange(hidden, XsaveArea.HasAvx512 ? 20 : 0, XsaveArea.HasAvx512 ? 1500 : 0);
    }

    private bool HidesFault(CaseBuilder builder, GeneratedCase generated)
    {
        List<BlobItem> unmasked = [.. generated.Blob.Items.Select(WithoutMask)];
        TestCase? test = builder.TryMake(generated.Blob.With(unmasked));
        return test != null && EndOnHost(generated.Test) == ExceptionVector.InvalidOpcode
            && EndOnHost(test) == ExceptionVector.PageFault;
    }

    private ExceptionVector EndOnHost(TestCase test)
    {
        _host.Load(test);
        return _host.Run(test.Initial).Vector;
    }

    private static BlobItem WithoutMask(BlobItem item)
    {
        bool isMasked = !item.IsLabel && item.Instruction.HasOpMask && !item.Instruction.IsVsib;
        if (!isMasked)
        {
            return item;
        }
        Instruction plain = item.Instruction;
        plain.OpMask = Register.None;
        plain.ZeroingMasking = false;
        return new BlobItem { Instruction = plain, VexVariation = item.VexVariation };
    }

    /// <summary>Passes a run through and then changes one thing in its result.</summary>
    private sealed class CorruptingRunner(ICaseRunner inner, string area) : ICaseRunner
    {
        private TestCase? _test;

        public void Load(TestCase test)
        {
            _test = test;
            inner.Load(test);
        }

        public bool KeepsDeadFlags => true;

        public Span<byte> Frame(int frame) => inner.Frame(frame);

        public RunResult Run(in CpuState start)
        {
            RunResult result = inner.Run(start);
            ref CpuState state = ref result.State;
            switch (area)
            {
                case "gpr": state[Gpr.R9] ^= 1UL << 63; break;
                case "rip": state.Rip++; break;
                case "base": state.GsBase ^= 8; break;
                case "flags": state.Rflags ^= (ulong)Rflags.ID; break;
                case "x87": state.St(7)[9] ^= 1; break;
                case "sse": state.Xmm(15)[15] ^= 1; break;
                case "avx": state.YmmHigh(0)[0] ^= 1; break;
                case "k6" when XsaveArea.HasAvx512: state.Opmasks[6] ^= 1UL << 63; break;
                case "zmm17" when XsaveArea.HasAvx512: state.HighZmm(17)[63] ^= 1; break;
                case "upper half of zmm3" when XsaveArea.HasAvx512: state.ZmmHigh(3)[0] ^= 1; break;
                case "memory": inner.Frame(0)[4095] ^= 1; break;
                case "end": result.Vector = ExceptionVector.Debug; break;
                case "popcnt" when Contains(Mnemonic.Popcnt): state[Gpr.Rax] ^= 1; break;
            }
            return result;
        }

        private bool Contains(Mnemonic mnemonic) => _test!.Instructions.Any(p => p.Instruction.Mnemonic == mnemonic);

        public void Dispose()
        {
        }
    }
}
