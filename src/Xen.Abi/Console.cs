using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>The console page: in = to the guest; indices run freely (io/console.h).</summary>
[CName("struct xencons_interface")]
[StructLayout(LayoutKind.Sequential)]
public struct XenconsInterface
{
    public Array1024<byte> In;
    public Array2048<byte> Out;
    public uint InCons;
    public uint InProd;
    public uint OutCons;
    public uint OutProd;
}

/// <summary>First argument of console_io (xen.h).</summary>
public static class ConsoleIo
{
    [CName("CONSOLEIO_write")] public const uint Write = 0;
    [CName("CONSOLEIO_read")] public const uint Read = 1;
}
