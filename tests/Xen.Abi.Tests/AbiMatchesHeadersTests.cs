using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Xunit;

namespace Ryokan.Xen.Abi.Tests;

/// <summary>Every constant, struct and field of Xen.Abi against Debian's libxen-dev.</summary>
public sealed class AbiMatchesHeadersTests
{
    private static readonly Type[] s_types = typeof(Hypercall).Assembly.GetExportedTypes()
        .Where(t => t != typeof(CNameAttribute) && t.GetCustomAttribute<InlineArrayAttribute>() == null)
        .ToArray();

    private static IEnumerable<Type> Structs => s_types.Where(t => t.IsValueType && !t.IsEnum);

    private static IEnumerable<FieldInfo> Constants =>
        s_types.SelectMany(t => t.GetFields(BindingFlags.Public | BindingFlags.Static));

    [Fact]
    public void Every_definition_names_its_c_counterpart()
    {
        Assert.All(Structs, t => Assert.NotNull(t.GetCustomAttribute<CNameAttribute>()));
        Assert.All(Constants, f => Assert.True(f.IsLiteral && f.GetCustomAttribute<CNameAttribute>() != null,
            $"{f.DeclaringType!.Name}.{f.Name}"));
        Assert.True(Structs.Count() > 100);
        Assert.True(Constants.Count() > 450);
    }

    [Fact]
    public void Every_constant_has_the_value_of_the_header()
    {
        List<FieldInfo> constants = Constants.ToList();
        Dictionary<string, string> c = CHeaders.Evaluate(constants.Select(CName));
        List<string> wrong = constants
            .Where(f => c[CName(f)] != CHeaders.Format(f.GetRawConstantValue()!))
            .Select(f => $"{CName(f)} is {c[CName(f)]}, here {f.GetRawConstantValue()}")
            .ToList();
        Assert.Empty(wrong);
    }

    [Fact]
    public void Every_struct_and_field_has_the_layout_of_the_header()
    {
        List<(string Expression, string Have, string What)> checks = [];
        foreach (Type type in Structs)
        {
            CNameAttribute c = type.GetCustomAttribute<CNameAttribute>()!;
            checks.Add((c.Size ?? $"sizeof({c.Name})", SizeOf(type).ToString(), type.Name));
            foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Instance))
            {
                string name = field.GetCustomAttribute<CNameAttribute>()?.Name ?? SnakeCase(field.Name);
                string what = $"{type.Name}.{field.Name}";
                checks.Add(($"offsetof({c.Name}, {name})", OffsetOf(type, field).ToString(), what));
                checks.Add(($"sizeof((({c.Name} *)0)->{name})", SizeOf(field.FieldType).ToString(), what));
            }
        }
        Dictionary<string, string> values = CHeaders.Evaluate(checks.Select(x => x.Expression));
        Assert.Empty(checks.Where(x => values[x.Expression] != x.Have)
            .Select(x => $"{x.What}: {x.Expression} is {values[x.Expression]}, here {x.Have}"));
    }

    /// <summary>
    /// Families of which nothing may be left out: a new sub-operation must not be met by surprise.
    /// </summary>
    [Theory]
    [InlineData("__HYPERVISOR_", "__HYPERVISOR_dom0_op")]
    [InlineData("EVTCHNOP_")]
    [InlineData("SCHEDOP_")]
    [InlineData("SHUTDOWN_")]
    [InlineData("VCPUOP_")]
    [InlineData("MMU_")]
    [InlineData("MMUEXT_")]
    [InlineData("VIRQ_")]
    [InlineData("GNTTABOP_", "GNTTABOP_error_msgs")]
    [InlineData("GNTST_")]
    [InlineData("GTF_")]
    [InlineData("XENVER_")]
    [InlineData("XENFEAT_")]
    [InlineData("CALLBACKTYPE_")]
    [InlineData("VMASST_")]
    [InlineData("PHYSDEVOP_", "PHYSDEVOP_DBGP_RESET_PREPARE", "PHYSDEVOP_DBGP_RESET_DONE",
        "PHYSDEVOP_DBGP_BUS_UNKNOWN", "PHYSDEVOP_DBGP_BUS_PCI", "PHYSDEVOP_pirq_eoi_gmfn")]
    [InlineData("XEN_ELFNOTE_")]
    public void A_family_is_complete(string prefix, params string[] leftOut)
    {
        HashSet<string> have = Constants.Select(CName).ToHashSet();
        List<string> family = CHeaders.MacroNames()
            .Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(family);
        // The limits of the address space, which the headers also offer under their plain names.
        List<string> missing = family.Except(have).Except(leftOut)
            .Except(["__HYPERVISOR_VIRT_START", "__HYPERVISOR_VIRT_END"]).ToList();
        Assert.Empty(missing);
    }

    private static string CName(FieldInfo f) => f.GetCustomAttribute<CNameAttribute>()!.Name;

    private static string SnakeCase(string name)
    {
        StringBuilder s = new();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterUpper(c) && s.Length > 0)
            {
                s.Append('_');
            }
            s.Append(char.ToLowerInvariant(c));
        }
        return s.ToString();
    }

    private static int SizeOf(Type type) => (int)Generic(nameof(SizeOfGeneric), type).Invoke(null, null)!;

    /// <summary>Fills the field with ones in an otherwise zero struct and looks where they landed.</summary>
    private static int OffsetOf(Type type, FieldInfo field)
    {
        object boxed = Activator.CreateInstance(type)!;
        field.SetValue(boxed, Generic(nameof(OnesGeneric), field.FieldType).Invoke(null, null));
        return (int)Generic(nameof(FirstSetByteGeneric), type).Invoke(null, [boxed])!;
    }

    private static MethodInfo Generic(string name, Type type) =>
        typeof(AbiMatchesHeadersTests).GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static)!
            .MakeGenericMethod(type);

    private static int SizeOfGeneric<T>() => Unsafe.SizeOf<T>();

    private static object OnesGeneric<T>()
        where T : unmanaged
    {
        T value = default;
        MemoryMarshal.AsBytes(new Span<T>(ref value)).Fill(0xff);
        return value;
    }

    private static object FirstSetByteGeneric<T>(object boxed)
        where T : unmanaged
    {
        T value = (T)boxed;
        return MemoryMarshal.AsBytes(new Span<T>(ref value)).IndexOfAnyExcept((byte)0);
    }
}
