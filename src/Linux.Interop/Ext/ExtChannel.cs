using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Ext;

/// <summary>
/// Lets libext2fs read through a delegate: an I/O manager of its interface (ext2fs/ext2_io.h), read only.
/// The library
/// opens a channel by name; ours are the numbers of handles to objects of this type.
/// </summary>
internal sealed unsafe class ExtChannel : IDisposable
{
    private const int InputOutputError = 5, ReadOnlyError = 30, NotSupported = 95;
    private const nint ManagerMagic = 2133571335 /* EXT2_ET_MAGIC_IO_MANAGER */;
    private const nint ChannelMagic = 2133571333 /* EXT2_ET_MAGIC_IO_CHANNEL */;

    /// <summary>A sound file system needs much less for its boot files; a malicious one could go round in
    /// circles.</summary>
    private const ulong MaxBytesRead = 4UL << 30;

    /// <summary>struct struct_io_channel, 192 bytes on x86-64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 192)]
    private struct Channel
    {
        [FieldOffset(0)] public nint Magic;
        [FieldOffset(8)] public nint Manager;
        [FieldOffset(16)] public nint Name;
        [FieldOffset(24)] public int BlockBytes;
        [FieldOffset(48)] public int References;
        [FieldOffset(168)] public nint Private;
    }

    /// <summary>struct struct_io_manager: magic, name, fourteen functions, fourteen reserved words.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 240)]
    private struct IoManager
    {
        public nint Magic;
        public nint Name;
        public delegate* unmanaged<nint, int, Channel**, nint> Open;
        public delegate* unmanaged<Channel*, nint> Close;
        public delegate* unmanaged<Channel*, int, nint> SetBlockSize;
        public delegate* unmanaged<Channel*, ulong, int, byte*, nint> ReadBlock;
        public delegate* unmanaged<Channel*, ulong, int, byte*, nint> WriteBlock;
        public delegate* unmanaged<Channel*, nint> Flush;
        public delegate* unmanaged<Channel*, ulong, int, byte*, nint> WriteByte;
        public nint SetOption;
        public nint GetStatistics;
        public delegate* unmanaged<Channel*, ulong, int, byte*, nint> ReadBlock64;
        public delegate* unmanaged<Channel*, ulong, int, byte*, nint> WriteBlock64;
    }

    /// <summary>The one manager, never freed: the library keeps its address.</summary>
    public static nint Manager { get; } = MakeManager();

    private readonly ExtReader _reader;
    private readonly ulong _bytes;
    private GCHandle _self;
    private ulong _read;

    public ExtChannel(ExtReader reader, ulong bytes)
    {
        (_reader, _bytes) = (reader, bytes);
        _self = GCHandle.Alloc(this);
    }

    public string Name => GCHandle.ToIntPtr(_self).ToString(CultureInfo.InvariantCulture);

    public void Dispose()
    {
        if (_self.IsAllocated)
        {
            _self.Free();
        }
    }

    private static nint MakeManager()
    {
        IoManager* manager = (IoManager*)NativeMemory.AllocZeroed((nuint)sizeof(IoManager));
        manager->Magic = ManagerMagic;
        manager->Name = Marshal.StringToCoTaskMemUTF8("Ryokan disk");
        manager->Open = &Open;
        manager->Close = &Close;
        manager->SetBlockSize = &SetBlockSize;
        manager->ReadBlock = manager->ReadBlock64 = &Read;
        manager->WriteBlock = manager->WriteBlock64 = manager->WriteByte = &Write;
        manager->Flush = &Flush;
        return (nint)manager;
    }

    [UnmanagedCallersOnly]
    private static nint Open(nint name, int flags, Channel** result)
    {
        if (!nint.TryParse(Marshal.PtrToStringUTF8(name), CultureInfo.InvariantCulture, out nint handle))
        {
            return NotSupported;
        }
        Channel* channel = (Channel*)NativeMemory.AllocZeroed((nuint)sizeof(Channel));
        channel->Magic = ChannelMagic;
        channel->Manager = Manager;
        channel->Name = Marshal.StringToCoTaskMemUTF8("disk");
        channel->BlockBytes = 1024;
        channel->References = 1;
        channel->Private = handle;
        *result = channel;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static nint Close(Channel* channel)
    {
        if (--channel->References <= 0)
        {
            Marshal.FreeCoTaskMem(channel->Name);
            NativeMemory.Free(channel);
        }
        return 0;
    }

    [UnmanagedCallersOnly]
    private static nint SetBlockSize(Channel* channel, int bytes)
    {
        channel->BlockBytes = bytes;
        return 0;
    }

    /// <summary>A negative count is one of bytes. The library owns the buffer, which is as large as it asks
    /// for.</summary>
    [UnmanagedCallersOnly]
    private static nint Read(Channel* channel, ulong block, int count, byte* data)
    {
        ExtChannel self = (ExtChannel)GCHandle.FromIntPtr(channel->Private).Target!;
        ulong length = count < 0 ? (ulong)-(long)count : (ulong)count * (ulong)channel->BlockBytes;
        ulong most = self._bytes / (ulong)channel->BlockBytes;
        if (block > most || length > int.MaxValue)
        {
            return InputOutputError;
        }
        ulong offset = block * (ulong)channel->BlockBytes;
        self._read += length;
        if (length > self._bytes - offset || self._read > MaxBytesRead)
        {
            return InputOutputError;
        }
        return self._reader(offset, new Span<byte>(data, (int)length)) ? 0 : InputOutputError;
    }

    [UnmanagedCallersOnly]
    private static nint Write(Channel* channel, ulong block, int count, byte* data) => ReadOnlyError;

    [UnmanagedCallersOnly]
    private static nint Flush(Channel* channel) => 0;
}
