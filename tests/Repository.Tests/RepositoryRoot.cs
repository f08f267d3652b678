using System;
using System.IO;

namespace Ryokan.Repository.Tests;

/// <summary>The checkout that these tests were built from.</summary>
internal static class RepositoryRoot
{
    /// <summary>Absolute path of the folder that holds <c>Ryokan.slnx</c>.</summary>
    public static string Path { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(at.FullName, "Ryokan.slnx")))
            {
                return at.FullName;
            }
        }

        throw new InvalidOperationException($"no Ryokan.slnx above {AppContext.BaseDirectory}");
    }
}
