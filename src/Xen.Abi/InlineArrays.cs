using System.Runtime.CompilerServices;

namespace Ryokan.Xen.Abi;

// Fixed arrays inside blittable structs. Use as a Span<T> (implicit conversion) or index directly.

/// <summary>4 elements in place.</summary>
[InlineArray(4)]
public struct Array4<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>6 elements in place.</summary>
[InlineArray(6)]
public struct Array6<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>8 elements in place.</summary>
[InlineArray(8)]
public struct Array8<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>11 elements in place.</summary>
[InlineArray(11)]
public struct Array11<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>16 elements in place.</summary>
[InlineArray(16)]
public struct Array16<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>32 elements in place.</summary>
[InlineArray(32)]
public struct Array32<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>64 elements in place.</summary>
[InlineArray(64)]
public struct Array64<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>256 elements in place.</summary>
[InlineArray(256)]
public struct Array256<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>512 elements in place.</summary>
[InlineArray(512)]
public struct Array512<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>1024 elements in place.</summary>
[InlineArray(1024)]
public struct Array1024<T>
    where T : unmanaged
{
    private T _first;
}

/// <summary>2048 elements in place.</summary>
[InlineArray(2048)]
public struct Array2048<T>
    where T : unmanaged
{
    private T _first;
}
