using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop.Network;

/// <summary>
/// Network devices of the host's network namespace, by name: netdevice(7), and the bridge's SIOCBR* calls
/// (linux/sockios.h). Changing anything takes CAP_NET_ADMIN.
/// </summary>
public static unsafe partial class NetworkDevice
{
    /// <summary>Longest name (IFNAMSIZ less the NUL).</summary>
    public const int MaxName = 15;

    private const int RequestBytes = 40, NameBytes = 16;
    private const nuint GetFlags = 0x8913, SetFlags = 0x8914, GetMtu = 0x8921, SetMtuNumber = 0x8922;
    private const nuint SetHardwareAddress = 0x8924, GetIndex = 0x8933, AddToBridge = 0x89a2;
    private const short Up = 1;
    private const ushort Ethernet = 1;

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(SafeFileHandle fd, nuint request, byte* argument);

    public static bool Exists(string name) => Directory.Exists("/sys/class/net/" + name);

    public static bool IsBridge(string name) => Directory.Exists($"/sys/class/net/{name}/bridge");

    /// <summary>The bridge that a device belongs to, or null.</summary>
    public static string? BridgeOf(string name) =>
        Path.GetFileName(new DirectoryInfo($"/sys/class/net/{name}/master").LinkTarget);

    /// <exception cref="HostNetworkException">not permitted, or no such device</exception>
    public static void SetUp(string name)
    {
        byte* request = stackalloc byte[RequestBytes];
        Call(GetFlags, request, name, "flags");
        short flags = *(short*)(request + NameBytes);
        if ((flags & Up) == 0)
        {
            *(short*)(request + NameBytes) = (short)(flags | Up);
            Call(SetFlags, request, name, "up");
        }
    }

    /// <exception cref="HostNetworkException">there is no such device</exception>
    public static int Mtu(string name)
    {
        byte* request = stackalloc byte[RequestBytes];
        Call(GetMtu, request, name, "mtu");
        return *(int*)(request + NameBytes);
    }

    /// <exception cref="HostNetworkException">not permitted, or not possible</exception>
    public static void SetMtu(string name, int mtu)
    {
        byte* request = stackalloc byte[RequestBytes];
        *(int*)(request + NameBytes) = mtu;
        Call(SetMtuNumber, request, name, $"mtu {mtu}");
    }

    /// <exception cref="HostNetworkException">not permitted</exception>
    public static void SetAddress(string name, ReadOnlySpan<byte> mac)
    {
        byte* request = stackalloc byte[RequestBytes];
        *(ushort*)(request + NameBytes) = Ethernet;
        mac.CopyTo(new Span<byte>(request + NameBytes + sizeof(ushort), 6));
        Call(SetHardwareAddress, request, name, "hardware address");
    }

    /// <exception cref="HostNetworkException">not permitted, no such device, no such bridge</exception>
    public static void JoinBridge(string name, string bridge)
    {
        byte* request = stackalloc byte[RequestBytes];
        Call(GetIndex, request, name, "index");
        Call(AddToBridge, request, bridge, $"adding {name}");
    }

    private static void Call(nuint number, byte* request, string name, string what)
    {
        const int inet = 2, datagram = 2, closeOnExec = 0x80000;
        using SafeFileHandle socket = new(Socket(inet, datagram | closeOnExec, 0), ownsHandle: true);
        Span<byte> field = new(request, NameBytes);
        field.Clear();
        Encoding.ASCII.GetBytes(name, field[..MaxName]);
        if (socket.IsInvalid || Ioctl(socket, number, request) != 0)
        {
            throw new HostNetworkException($"{name}: {what}: {LastError()}");
        }
    }

    internal static string LastError() => Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
}
