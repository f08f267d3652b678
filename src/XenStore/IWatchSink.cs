namespace Ryokan.XenStore;

/// <summary>Where a connection's watch events go.</summary>
public interface IWatchSink
{
    /// <summary>
    /// A watch fired. Called with the store locked, by whoever changed the node: queue it and return.
    /// </summary>
    /// <param name="path">the node that changed, relative when the watch was set with a relative path</param>
    void Fired(string path, string token);
}
