namespace Ryokan.Storage.Qcow2;

/// <summary>Clusters of the file in a row.</summary>
internal readonly record struct ClusterRange(ulong First, ulong Count);
