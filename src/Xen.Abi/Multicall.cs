using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>One entry of a multicall list; 64 bytes (xen.h).</summary>
[CName("struct multicall_entry")]
[StructLayout(LayoutKind.Sequential)]
public struct MulticallEntry
{
    public ulong Op;
    public ulong Result;
    public Array6<ulong> Args;
}
