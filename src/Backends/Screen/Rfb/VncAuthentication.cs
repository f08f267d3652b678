using System;
using System.Text;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// VNC authentication (RFC 6143, 7.2.2): the viewer encrypts 16 random bytes with the password.
/// </summary>
internal static class VncAuthentication
{
    public const int ChallengeBytes = 16;

    /// <summary>Bytes of a password that count.</summary>
    public const int MaxPassword = 8;

    private const int BlockBytes = 8;

    /// <summary>The right response to a challenge.</summary>
    public static byte[] Respond(ReadOnlySpan<byte> challenge, string password)
    {
        Span<byte> key = stackalloc byte[BlockBytes];
        byte[] text = Encoding.UTF8.GetBytes(password);
        for (int i = 0; i < Math.Min(text.Length, MaxPassword); i++)
        {
            key[i] = Mirror(text[i]);
        }
        byte[] response = challenge.ToArray();
        DataEncryptionStandard.Encrypt(key, response.AsSpan(0, BlockBytes));
        DataEncryptionStandard.Encrypt(key, response.AsSpan(BlockBytes));
        return response;
    }

    /// <summary>The protocol's keys have their bits the other way round.</summary>
    private static byte Mirror(byte value)
    {
        int mirrored = 0;
        for (int bit = 0; bit < 8; bit++)
        {
            mirrored |= (value >> bit & 1) << (7 - bit);
        }
        return (byte)mirrored;
    }
}
