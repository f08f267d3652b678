using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Network.Packets;

/// <summary>What goes along with an Ethernet frame; positions are bytes from its start.</summary>
public struct PacketInfo
{
    /// <summary>Bytes of the frame.</summary>
    public int Length;

    /// <summary>
    /// The TCP or UDP checksum is still to be made: its field holds the sum over the pseudo header, the rest
    /// is from <see cref="ChecksumStart"/> on.
    /// </summary>
    public bool ChecksumMissing;

    /// <summary>Where the sum begins: the TCP or UDP header.</summary>
    public int ChecksumStart;

    /// <summary>Where the checksum goes, from <see cref="ChecksumStart"/> on.</summary>
    public int ChecksumOffset;

    /// <summary>The checksum is known to be right and need not be looked at.</summary>
    public bool ChecksumValid;

    /// <summary>The frame is to be cut into segments (<see cref="NetifGsoType"/>); 0: it is not.</summary>
    public byte GsoType;

    /// <summary>Bytes of payload in each segment.</summary>
    public ushort GsoSize;

    /// <summary>
    /// Bytes of all headers, where <see cref="ChecksumMissing"/> or GSO made us look; else 0.
    /// </summary>
    public int HeaderLength;
}
