namespace Ryokan.Bench.Devices;

/// <summary>A row whose figures are compared with QEMU's and with the host's own.</summary>
/// <param name="Name">What the program calls it.</param>
/// <param name="Title">For the table.</param>
/// <param name="TimesQemu">How many times better than QEMU it is wanted; null: no matter.</param>
/// <param name="PartOfNative">Which part of the host's own figure is wanted; null: no matter.</param>
/// <param name="AtMost">The longest time that is wanted, in seconds; null: no matter.</param>
internal sealed record DeviceRow(
    string Name, string Title, Unit Unit, double? TimesQemu, double? PartOfNative = null, double? AtMost = null);
