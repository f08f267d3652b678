using System;

namespace Ryokan.Xen.Abi;

/// <summary>
/// The name of a definition in Xen's public C headers. Constants and structs carry it always; a struct
/// field carries it when its C name is not the C# name in lower case with underscores. The tests
/// compile every name against the installed headers and compare.
/// </summary>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Field)]
public sealed class CNameAttribute(string name) : Attribute
{
    public string Name { get; } = name;

    /// <summary>C expression of the size, where it is not sizeof of the struct.</summary>
    public string? Size { get; set; }
}
