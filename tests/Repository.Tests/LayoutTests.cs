using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Ryokan.Repository.Tests;

/// <summary>The solution file and the project folders agree.</summary>
public sealed class LayoutTests
{
    private static readonly string[] _sourceFolders = ["src", "tests", "benchmarks"];
    private static readonly string[] _vagueNames = ["Common", "Core", "Shared", "Utils", "Utilities", "Helpers"];

    [Fact]
    public void SolutionHoldsEveryProject()
    {
        string solution = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "Ryokan.slnx"));
        Assert.All(Files("*.csproj"), p => Assert.Contains($"\"{p}\"", solution, StringComparison.Ordinal));
    }

    [Fact]
    public void SolutionNamesOnlyProjectsThatExist()
    {
        string solution = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "Ryokan.slnx"));
        IEnumerable<string> named = Regex.Matches(solution, "Path=\"([^\"]+)\"").Select(m => m.Groups[1].Value);
        Assert.Equal(Files("*.csproj").Order(), named.Order());
    }

    [Fact]
    public void NoProjectIsNamedAfterNothing() =>
        Assert.All(Files("*.csproj"), p => Assert.DoesNotContain(Path.GetFileNameWithoutExtension(p), _vagueNames));

    // Paths relative to the repository, without what a build has made.
    private static IEnumerable<string> Files(string pattern) => _sourceFolders
        .SelectMany(folder => Directory.EnumerateFiles(
            Path.Combine(RepositoryRoot.Path, folder), pattern, SearchOption.AllDirectories))
        .Select(path => Path.GetRelativePath(RepositoryRoot.Path, path))
        .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"));
}
