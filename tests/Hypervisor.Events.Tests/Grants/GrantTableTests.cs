using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Grants.Tests;

public sealed class GrantTableTests : IDisposable
{
    private const ushort Domain = 7;
    private const ushort InUse = GrantFlags.Reading | GrantFlags.Writing;

    private readonly GuestFrames _frames = new(64, 8);
    private readonly GrantTable _table;

    public GrantTableTests() => _table = new GrantTable(_frames, Domain, maxFrames: 4);

    public void Dispose() => _frames.Dispose();

    private ref uint Cell(uint reference, int offset)
    {
        long index = _frames.IndexOf(_table.FrameMfn(reference / 512)!.Value);
        return ref _frames.UInt32At(index, (int)(reference % 512) * 8 + offset);
    }

    /// <summary>flags and domid.</summary>
    private ref uint Head(uint reference) => ref Cell(reference, 0);

    private ushort Flags(uint reference) => (ushort)Volatile.Read(ref Head(reference));

    /// <summary>As a guest grants: frame and domain first, then the flags.</summary>
    private void Grant(uint reference, uint mfn, ushort domain = 0, ushort extra = 0)
    {
        Cell(reference, 4) = mfn;
        uint head = (uint)(domain << 16) | GrantFlags.PermitAccess | extra;
        Interlocked.Exchange(ref Head(reference), head);
    }

    [Fact]
    public void Reserved_entries_grant_console_and_xenstore()
    {
        _table.SetReserved(5, 6);
        Assert.Equal(GrantStatus.Okay, _table.Map(0, readOnly: false, out GrantMapping? console));
        Assert.Equal(GrantStatus.Okay, _table.Map(1, readOnly: false, out GrantMapping? store));
        Assert.Equal((5L, 6L), (console!.FrameIndex, store!.FrameIndex));
    }

    [Fact]
    public void The_table_grows_to_its_limit()
    {
        Assert.Equal(GrantStatus.Okay, _table.QuerySize(Domid.Self, out uint frames, out uint max));
        Assert.Equal((1u, 4u), (frames, max));
        Assert.Equal(GrantStatus.Okay, _table.SetupTable(Domain, 4));
        Assert.Equal(4, _table.FrameCount);
        Assert.Equal(GrantStatus.GeneralError, _table.SetupTable(Domid.Self, 5));
        Assert.Equal(GrantStatus.GeneralError, _table.SetupTable(Domid.Self, uint.MaxValue));
        Assert.Equal(GrantStatus.PermissionDenied, _table.SetupTable(0, 1));
        Assert.Equal(GrantStatus.BadDomain, _table.SetupTable(3, 1));
        Assert.Null(_table.FrameMfn(4));
        Assert.NotNull(_table.FrameMfn(3));
    }

    [Theory]
    [InlineData(1u, 0L)]
    [InlineData(2u, -38L)]
    [InlineData(0u, -22L)]
    [InlineData(uint.MaxValue, -22L)]
    public void Only_version_1_is_served(uint version, long result)
    {
        Assert.Equal(result, GrantTable.SetVersion(ref version));
        Assert.Equal(1u, version);
    }

    [Fact]
    public void A_mapping_marks_the_entry_until_the_last_user_is_gone()
    {
        Grant(9, 20);
        Assert.Equal(GrantStatus.Okay, _table.Map(9, readOnly: true, out GrantMapping? reader));
        Assert.Equal(GrantFlags.Reading, Flags(9) & InUse);
        Assert.Equal(GrantStatus.Okay, _table.Map(9, readOnly: false, out GrantMapping? writer));
        Assert.Equal(InUse, Flags(9) & InUse);
        writer!.WritableBytes[7] = 42;
        Assert.Equal(42, reader!.Bytes[7]);
        Assert.Throws<InvalidOperationException>(() => reader.WritableBytes[0] = 1);
        writer.Dispose();
        writer.Dispose();
        Assert.Equal(GrantFlags.Reading, Flags(9) & InUse);
        reader.Dispose();
        Assert.Equal(0, Flags(9) & InUse);
        Assert.Throws<ObjectDisposedException>(() => reader.Bytes.Length);
    }

    [Fact]
    public void What_the_guest_did_not_grant_is_refused_and_left_unmarked()
    {
        Grant(10, 20, domain: 3);
        Grant(11, 20, extra: GrantFlags.Readonly);
        Grant(12, 64);
        Grant(13, uint.MaxValue);
        Grant(14, 21);
        _frames.Set(21, FrameFlags.Absent);
        Assert.Equal(GrantStatus.BadGntref, _table.Map(8, false, out _));
        Assert.Equal(GrantStatus.BadGntref, _table.Map(512 * 4, false, out _));
        Assert.Equal(GrantStatus.BadGntref, _table.Map(uint.MaxValue, false, out _));
        Assert.Equal(GrantStatus.BadGntref, _table.Map(10, false, out _));
        Assert.Equal(GrantStatus.PermissionDenied, _table.Map(11, false, out _));
        Assert.Equal(GrantStatus.BadPage, _table.Map(12, false, out _));
        Assert.Equal(GrantStatus.BadPage, _table.Map(13, true, out _));
        Assert.Equal(GrantStatus.BadPage, _table.Map(14, true, out GrantMapping? none));
        Assert.Null(none);
        for (uint reference = 8; reference < 15; reference++)
        {
            Assert.Equal(0, Flags(reference) & InUse);
        }
        Assert.Equal(GrantStatus.Okay, _table.Map(11, true, out _));
    }

    [Fact]
    public void The_frame_of_an_entry_in_use_does_not_change()
    {
        Grant(9, 20);
        Assert.Equal(GrantStatus.Okay, _table.Map(9, false, out GrantMapping? first));
        Grant(9, 33);
        Assert.Equal(GrantStatus.Okay, _table.Map(9, false, out GrantMapping? second));
        Assert.Equal(20L, second!.FrameIndex);
        first!.Dispose();
        second.Dispose();
        Assert.Equal(GrantStatus.Okay, _table.Map(9, false, out GrantMapping? third));
        Assert.Equal(33L, third!.FrameIndex);
    }

    [Fact]
    public void Copy_moves_bytes_between_the_guests_own_frames()
    {
        _frames.SpanAt(30)[..4].Fill(7);
        GnttabCopy copy = new()
        {
            Source = new() { Gmfn = 30, Domid = Domid.Self, Offset = 0 },
            Dest = new() { Gmfn = 31, Domid = Domain, Offset = 4092 },
            Len = 4,
        };
        Assert.Equal(GrantStatus.Okay, _table.Copy(copy));
        Assert.Equal([0, 7, 7, 7, 7], _frames.SpanAt(31)[4091..].ToArray());
        copy.Dest.Offset = 4093;
        Assert.Equal(GrantStatus.BadCopyArg, _table.Copy(copy));
        copy.Dest.Offset = 0;
        copy.Dest.Gmfn = 1UL << 60;
        Assert.Equal(GrantStatus.BadPage, _table.Copy(copy));
        copy.Dest.Domid = 0;
        Assert.Equal(GrantStatus.PermissionDenied, _table.Copy(copy));
        copy.Source.Domid = 99;
        Assert.Equal(GrantStatus.BadDomain, _table.Copy(copy));

        Grant(40, 31, domain: Domain);
        GnttabCopy byReference = new()
        {
            Source = new() { Ref = 40, Domid = Domid.Self, Offset = 4092 },
            Dest = new() { Gmfn = 32, Domid = Domid.Self }, Len = 4, Flags = GrantCopyFlags.SourceGref,
        };
        Assert.Equal(GrantStatus.Okay, _table.Copy(byReference));
        Assert.Equal([7, 7, 7, 7, 0], _frames.SpanAt(32)[..5].ToArray());
        Assert.Equal(0, Flags(40) & InUse);
    }

    [Fact]
    public void A_guest_never_frees_an_entry_that_is_mapped()
    {
        const int rounds = 20_000;
        List<string> errors = [];
        bool stop = false;
        Thread backEnd = new(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                if (_table.Map(9, false, out GrantMapping? mapping) == GrantStatus.Okay)
                {
                    mapping!.WritableBytes[0]++;
                    if ((Flags(9) & InUse) != InUse)
                    {
                        errors.Add("freed while mapped");
                    }
                    mapping.Dispose();
                }
            }
        });
        backEnd.Start();
        for (int i = 0; i < rounds; i++)
        {
            Grant(9, 20 + (uint)i % 4);
            uint idle = GrantFlags.PermitAccess;
            while (Interlocked.CompareExchange(ref Head(9), 0, idle) != idle)
            {
                Thread.Yield();
            }
        }
        Volatile.Write(ref stop, true);
        backEnd.Join();
        Assert.Empty(errors);
    }
}
