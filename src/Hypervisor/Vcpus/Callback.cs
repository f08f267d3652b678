namespace Ryokan.Hypervisor.Vcpus;

/// <summary>A guest entry point registered by callback_op; address 0 = none.</summary>
internal readonly record struct Callback(ulong Address, bool MaskEvents);
