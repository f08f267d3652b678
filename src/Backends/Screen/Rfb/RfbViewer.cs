using System;
using System.Drawing;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using Ryokan.Linux.Interop;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// One viewer, from its first byte to its last (RFC 6143): a thread that reads what it says, and, once it is let in,
/// one that writes. Whoever is not let in soon is put out.
/// </summary>
internal sealed class RfbViewer : IDisposable
{
    /// <summary>What a viewer gets to say who it is; a person may have to type a password.</summary>
    public static readonly TimeSpan HandshakePatience = TimeSpan.FromSeconds(60);

    /// <summary>How long a wrong password is not answered.</summary>
    private static readonly TimeSpan s_wrongPasswordDelay = TimeSpan.FromSeconds(1);

    /// <summary>Encodings that a viewer may list, and bytes that it may have in its clipboard.</summary>
    private const int MaxEncodings = 1024, MaxClipboard = 1 << 20;

    private const int StackBytes = 256 << 10;
    private const byte SecurityNone = 1, SecurityVnc = 2;

    private readonly RfbServerOptions _options;
    private readonly RfbConnection _connection;
    private readonly RfbUpdates _updates;
    private readonly ViewerKeyboard _keyboard;
    private readonly Action<RfbViewer> _gone;
    private readonly Thread _reader;
    private volatile bool _isLetIn;

    public RfbViewer(RfbServerOptions options, RfbConnection connection, Action<RfbViewer> gone)
    {
        (_options, _connection, _gone) = (options, connection, gone);
        _updates = new RfbUpdates(connection, options.Surface);
        _keyboard = new ViewerKeyboard(options.Input, options.Keys);
        _reader = new Thread(Serve, StackBytes) { IsBackground = true, Name = "vnc-read" };
    }

    /// <summary>It has passed the handshake.</summary>
    public bool IsLetIn => _isLetIn;

    public void Start() => _reader.Start();

    private void Serve()
    {
        Timer patience = new(c => ((RfbConnection)c!).Shutdown(), _connection, HandshakePatience, Timeout.InfiniteTimeSpan);
        Thread? writer = null;
        try
        {
            if (Authenticate(ReadVersion()))
            {
                // Viewers that want to be alone are not: whoever may look may look.
                _connection.ReadByte();
                patience.Dispose();
                _isLetIn = true;
                Introduce();
                writer = new Thread(Write, StackBytes) { IsBackground = true, Name = "vnc-write" };
                writer.Start();
                while (ReadMessage())
                {
                }
            }
        }
        catch (IOException)
        {
            // It has gone.
        }
        patience.Dispose();
        _keyboard.ReleaseAll();
        _updates.End();
        _connection.Shutdown();
        writer?.Join();
        _updates.Dispose();
        _connection.Dispose();
        _gone(this);
    }

    private void Write()
    {
        try
        {
            _updates.Run();
        }
        catch (IOException)
        {
            // It has gone, or takes nothing; the reader sees to the rest.
        }
        _connection.Shutdown();
    }

    /// <summary>Minor version of RFB 3: 3, 7 or 8.</summary>
    /// <exception cref="IOException">the other side speaks something else</exception>
    private int ReadVersion()
    {
        _connection.Write("RFB 003.008\n"u8);
        Span<byte> version = stackalloc byte[12];
        _connection.Read(version);
        bool known = version.StartsWith("RFB 003."u8) && version[11] == '\n';
        return !known ? throw new IOException("not a viewer") : Encoding.ASCII.GetString(version[8..11]) switch
        {
            "008" => 8,
            "007" => 7,
            // Others that have been seen are to be taken for 3.3 (7.1.1).
            _ => 3,
        };
    }

    private bool Authenticate(int version)
    {
        byte wanted = _options.Password == null ? SecurityNone : SecurityVnc;
        if (version == 3)
        {
            _connection.Write((uint)wanted);
        }
        else
        {
            _connection.Write([1, wanted]);
            if (_connection.ReadByte() != wanted)
            {
                return false;
            }
        }
        if (_options.Password is not { } password)
        {
            if (version == 8)
            {
                _connection.Write(0u);
            }
            return true;
        }
        return CheckPassword(password, version);
    }

    private bool CheckPassword(string password, int version)
    {
        byte[] challenge = new byte[VncAuthentication.ChallengeBytes], response = new byte[VncAuthentication.ChallengeBytes];
        Libc.FillRandom(challenge);
        _connection.Write(challenge);
        _connection.Read(response);
        if (CryptographicOperations.FixedTimeEquals(response, VncAuthentication.Respond(challenge, password)))
        {
            _connection.Write(0u);
            return true;
        }
        Thread.Sleep(s_wrongPasswordDelay);
        _connection.Write(1u);
        if (version == 8)
        {
            ReadOnlySpan<byte> reason = "wrong password"u8;
            _connection.Write((uint)reason.Length);
            _connection.Write(reason);
        }
        return false;
    }

    /// <summary>ServerInit (7.3.2).</summary>
    private void Introduce()
    {
        Size size = _updates.Begin();
        byte[] name = Encoding.UTF8.GetBytes(_options.Name);
        _connection.Write(
        [
            (byte)(size.Width >> 8), (byte)size.Width, (byte)(size.Height >> 8), (byte)size.Height,
            .. RfbPixelFormat.DefaultOnWire,
            0, 0, (byte)(name.Length >> 8), (byte)name.Length, .. name,
        ]);
    }

    /// <summary>Reads one message (7.5); false when it is none, or asks for too much.</summary>
    private bool ReadMessage() => _connection.ReadByte() switch
    {
        0 => ReadFormat(),
        2 => ReadEncodings(),
        3 => ReadRequest(),
        4 => ReadKey(),
        5 => ReadPointer(),
        6 => SkipClipboard(),
        255 => ReadScanCode(),
        _ => false,
    };

    private bool ReadFormat()
    {
        Span<byte> wire = stackalloc byte[RfbPixelFormat.WireBytes];
        _connection.Skip(3);
        _connection.Read(wire);
        RfbPixelFormat? format = RfbPixelFormat.Parse(wire);
        if (format != null)
        {
            _updates.SetFormat(format);
        }
        return format != null;
    }

    private bool ReadEncodings()
    {
        _connection.Skip(1);
        int count = _connection.ReadUInt16();
        if (count > MaxEncodings)
        {
            return false;
        }
        int[] encodings = new int[count];
        for (int i = 0; i < count; i++)
        {
            encodings[i] = (int)_connection.ReadUInt32();
        }
        _updates.SetEncodings(new RfbEncodings(encodings));
        return true;
    }

    private bool ReadRequest()
    {
        bool incremental = _connection.ReadByte() != 0;
        int x = _connection.ReadUInt16(), y = _connection.ReadUInt16();
        int width = _connection.ReadUInt16(), height = _connection.ReadUInt16();
        _updates.Ask(incremental, new Rectangle(x, y, width, height));
        return true;
    }

    private bool ReadKey()
    {
        bool down = _connection.ReadByte() != 0;
        _connection.Skip(2);
        _keyboard.Keysym(_connection.ReadUInt32(), down);
        return true;
    }

    private bool ReadPointer()
    {
        byte buttons = _connection.ReadByte();
        int x = _connection.ReadUInt16(), y = _connection.ReadUInt16();
        _keyboard.Pointer(x, y, buttons);
        return true;
    }

    /// <summary>A guest has no clipboard that we could reach.</summary>
    private bool SkipClipboard()
    {
        _connection.Skip(3);
        uint bytes = _connection.ReadUInt32();
        if (bytes > MaxClipboard)
        {
            return false;
        }
        _connection.Skip(bytes);
        return true;
    }

    /// <summary>QEMU's extended key event, which a viewer may send that was told (<see cref="RfbEncodings.ScanCodes"/>).</summary>
    private bool ReadScanCode()
    {
        if (_connection.ReadByte() != 0)
        {
            return false;
        }
        bool down = _connection.ReadUInt16() != 0;
        uint keysym = _connection.ReadUInt32();
        _keyboard.ScanCode(_connection.ReadUInt32(), keysym, down);
        return true;
    }

    /// <summary>Puts the viewer out. Any thread; does not wait.</summary>
    public void Close() => _connection.Shutdown();

    /// <summary>Puts the viewer out and waits for its threads. Not from them.</summary>
    public void Dispose()
    {
        Close();
        _reader.Join();
    }
}
