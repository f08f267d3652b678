using System;
using System.Globalization;
using System.Text;
using Ryokan.XenStore;
using Ryokan.XenStore.Tree;

namespace Ryokan.Backends.Xenbus;

/// <summary>
/// The nodes of one device. What is read was written by the guest: numbers are checked against limits, and
/// text that gets into messages is cut and cleaned.
/// </summary>
public sealed class DeviceNodes
{
    private const int ShownCharacters = 40;

    private readonly StoreConnection _domain0;

    private readonly string _errorPath;

    public DeviceNodes(StoreConnection domain0, string frontendPath, string backendPath)
    {
        (_domain0, FrontendPath, BackendPath) = (domain0, frontendPath, backendPath);
        string home = StorePath.OfDomain(0);
        _errorPath = $"{home}/error/{backendPath[(home.Length + 1)..]}";
    }

    /// <summary>/local/domain/N/device/TYPE/ID.</summary>
    public string FrontendPath { get; }

    /// <summary>/local/domain/0/backend/TYPE/N/ID.</summary>
    public string BackendPath { get; }

    /// <summary>A node of the front end's directory (name may contain '/'); null when there is none.</summary>
    public string? ReadFrontend(string name) => Read($"{FrontendPath}/{name}");

    /// <summary>A node of the back end's own directory; null when there is none.</summary>
    public string? ReadBackend(string name) => Read($"{BackendPath}/{name}");

    /// <summary>A decimal number of the front end's.</summary>
    /// <exception cref="FrontendException">there is no such node, or it is no number up to
    /// <paramref name="max"/></exception>
    public uint ReadNumber(string name, uint max = uint.MaxValue) => ReadOptionalNumber(name, max)
        ?? throw new FrontendException($"{FrontendPath}/{name} is missing");

    /// <summary>The same; null when there is no such node.</summary>
    /// <exception cref="FrontendException">it is no number up to <paramref name="max"/></exception>
    public uint? ReadOptionalNumber(string name, uint max = uint.MaxValue)
    {
        if (ReadFrontend(name) is not { } text)
        {
            return null;
        }
        bool valid = uint.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out uint value)
            && value <= max;
        return valid ? value : throw new FrontendException(
            $"{FrontendPath}/{name} is '{Shown(text)}', not a number up to {max}");
    }

    /// <summary>Whether the front end set a feature node to something but 0.</summary>
    public bool HasFeature(string name) => (ReadOptionalNumber(name) ?? 0) != 0;

    public void WriteBackend(string name, string value) => Write($"{BackendPath}/{name}", value);

    public void WriteBackend(string name, ulong value) =>
        WriteBackend(name, value.ToString(CultureInfo.InvariantCulture));

    /// <summary>Removes a node of the back end's directory; fine when there is none.</summary>
    public void RemoveBackend(string name) => _domain0.Remove(0, $"{BackendPath}/{name}");

    /// <summary>Where Xen's back ends say what went wrong: /local/domain/0/error/backend/...</summary>
    internal void WriteError(string reason) => Write($"{_errorPath}/error", reason);

    internal void ClearError() => _domain0.Remove(0, _errorPath);

    internal int FrontendState => State(ReadFrontend("state"));

    private static int State(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int state) ? state : 0;

    internal void Write(string path, string value)
    {
        StoreError error = _domain0.Write(0, path, Encoding.UTF8.GetBytes(value));
        if (error != StoreError.None)
        {
            // Domain 0 can only be refused for a mistake of ours.
            throw new InvalidOperationException($"xenstore: {path}: {error}");
        }
    }

    private string? Read(string path) =>
        _domain0.Read(0, path, out ReadOnlyMemory<byte> value) == StoreError.None
            ? Encoding.UTF8.GetString(value.Span) : null;

    /// <summary>Text of the guest's, safe in a message.</summary>
    public static string Shown(string text)
    {
        StringBuilder shown = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, ShownCharacters)))
        {
            shown.Append(c is >= ' ' and <= '~' ? c : '?');
        }
        return text.Length > ShownCharacters ? shown.Append("...").ToString() : shown.ToString();
    }
}
