using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>The error for metadata that contradicts itself.</summary>
internal static class Damage
{
    public static DiskException In(IImageFile file, string what) => DiskException.Because(
        file.Path, $"is a damaged qcow2 image: {what} (look at it with 'qemu-img check')", DiskException.Eio,
        isDamage: true);
}
