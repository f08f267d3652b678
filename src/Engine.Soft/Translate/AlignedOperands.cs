using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Vector operands that must be aligned (Intel SDM vol. 1, 14.9): misalignment is #GP(0) and comes before any page
/// fault. On accessible pages the host raises it; here it is told for those that are not.
/// </summary>
internal static class AlignedOperands
{
    public static bool Requires(in Instruction i, int size) => i.Mnemonic switch
    {
        Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa or Mnemonic.Vmovdqa32 or Mnemonic.Vmovdqa64 or Mnemonic.Vmovntps or Mnemonic.Vmovntpd
            or Mnemonic.Vmovntdq or Mnemonic.Vmovntdqa => true,
        Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu or Mnemonic.Pcmpestri
            or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistri
            or Mnemonic.Pcmpistrm => false,
        Mnemonic.Sha1rnds4 or Mnemonic.Sha1nexte or Mnemonic.Sha1msg1 or Mnemonic.Sha1msg2 or Mnemonic.Sha256rnds2
            or Mnemonic.Sha256msg1 or Mnemonic.Sha256msg2 => !HostCpuid.IsAmd, // AMD's take any address
        _ => i.Encoding == EncodingKind.Legacy && size == 16,
    };
}
