using System;
using System.Buffers;
using System.Globalization;
using Ryokan.Xen.Abi;

namespace Ryokan.XenStore.Tree;

/// <summary>Rules for node names (Xen's docs/misc/xenstore.txt; limits from xen/io/xs_wire.h).</summary>
public static class StorePath
{
    public const string IntroduceDomain = "@introduceDomain";
    public const string ReleaseDomain = "@releaseDomain";

    private const string DomainPrefix = "/local/domain/";

    private static readonly SearchValues<char> s_characters = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@:");

    /// <summary>Home of a domain: what its relative paths start from.</summary>
    public static string OfDomain(int domain) =>
        string.Create(CultureInfo.InvariantCulture, $"{DomainPrefix}{domain}");

    /// <summary>A valid absolute path of a node: "/" or "/a/b".</summary>
    public static bool IsNode(string path)
    {
        if (path == "/")
        {
            return true;
        }
        return path.Length is > 1 and <= XenStoreLimits.AbsPathMax
            && path[0] == '/' && path[^1] != '/'
            && !path.Contains("//", StringComparison.Ordinal)
            && !path.AsSpan().ContainsAnyExcept(s_characters)
            && LengthWithinDomain(path) <= XenStoreLimits.RelPathMax;
    }

    /// <summary>One of the watches on domains coming and going.</summary>
    public static bool IsSpecial(string path) => path is IntroduceDomain or ReleaseDomain;

    /// <summary>
    /// Absolute form of a path as a connection gave it; an empty home makes relative paths start at the
    /// root.
    /// </summary>
    public static string Resolve(string path, string home) =>
        path.StartsWith('/') || path.StartsWith('@') ? path : home + "/" + path;

    /// <summary>The path itself or a node below it.</summary>
    public static bool IsAtOrBelow(string path, string ancestor) =>
        ancestor == "/" ? path.StartsWith('/')
        : path.StartsWith(ancestor, StringComparison.Ordinal)
            && (path.Length == ancestor.Length || path[ancestor.Length] == '/');

    /// <summary>Null for the root.</summary>
    public static string? Parent(string path)
    {
        if (path == "/")
        {
            return null;
        }
        int slash = path.LastIndexOf('/');
        return slash == 0 ? "/" : path[..slash];
    }

    /// <summary>Names from the root down; none for the root itself.</summary>
    internal static string[] Split(string path) => path == "/" ? [] : path[1..].Split('/');

    private static int LengthWithinDomain(string path)
    {
        if (!path.StartsWith(DomainPrefix, StringComparison.Ordinal))
        {
            return 0;
        }
        int slash = path.IndexOf('/', DomainPrefix.Length);
        return slash < 0 ? 0 : path.Length - slash - 1;
    }
}
