using System;
using System.Collections.Generic;
using System.Linq;

namespace Ryokan.Images;

/// <summary>Where a Debian release comes from, by what this machine's own apt is set up with.</summary>
internal static class AptSources
{
    /// <summary>Lines for a sources.list of the release: the suites that this machine follows for its
    /// own.</summary>
    /// <exception cref="ImageException">apt knows no Debian archive</exception>
    public static IReadOnlyList<string> For(string release)
    {
        string[] listed = HostProgram.Run("apt-get",
            ["indextargets", "--format", "$(ORIGIN) $(RELEASE) $(COMPONENT) $(REPO_URI)",
                "Created-By: Packages"])
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
        List<string> lines = [.. listed.Select(line => line.Split(' '))
            .Where(words => words is ["Debian", _, "main", _])
            .Select(words => $"deb {words[3]} {release}{SuffixOf(words[1])} main")
            .Distinct(StringComparer.Ordinal)];
        return lines.Count > 0 ? lines : throw new ImageException(
            "this machine's apt has no Debian archive among its sources (or no lists yet: 'apt-get update');"
            + " name one with --mirror URL");
    }

    /// <summary>"bookworm-security" follows the release as "-security" does another one.</summary>
    private static string SuffixOf(string suite) => suite.IndexOf('-') is var at and > 0 ? suite[at..] : "";
}
