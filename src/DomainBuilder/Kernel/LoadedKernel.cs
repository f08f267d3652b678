namespace Ryokan.DomainBuilder.Kernel;

/// <summary>A kernel in guest memory.</summary>
/// <param name="Notes">its Xen notes, checked to be those of a PV kernel</param>
/// <param name="EntryVa">where vCPU 0 starts</param>
/// <param name="FirstPfn">first frame of its first segment</param>
/// <param name="EndPfn">first frame after its last segment</param>
internal sealed record LoadedKernel(XenNotes Notes, ulong EntryVa, ulong FirstPfn, ulong EndPfn);
