namespace Ryokan.XenStore;

/// <summary>
/// What one guest may use of the store; the defaults are those of Xen's own daemon. Connections of
/// domain 0 have no quota.
/// </summary>
public sealed record StoreQuota
{
    /// <summary>Nodes that the domain owns.</summary>
    public int Nodes { get; init; } = 1000;

    /// <summary>Bytes of one value.</summary>
    public int ValueBytes { get; init; } = 2048;

    /// <summary>Watches at one time.</summary>
    public int Watches { get; init; } = 128;

    /// <summary>Open transactions.</summary>
    public int Transactions { get; init; } = 10;

    /// <summary>Nodes that one transaction may look at or change.</summary>
    public int TransactionNodes { get; init; } = 1024;

    /// <summary>Entries of one node's permission list.</summary>
    public int Permissions { get; init; } = 5;

    /// <summary>
    /// Watch events that wait for a connection that does not read; more are dropped. An event that waits
    /// already is not queued twice.
    /// </summary>
    public int QueuedEvents { get; init; } = 1024;
}
