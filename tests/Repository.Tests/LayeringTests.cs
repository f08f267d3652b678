using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Repository.Tests;

/// <summary>
/// The layering check of <c>Directory.Build.targets</c>, run by the real build tool on small projects that are
/// made for the purpose: it must refuse what it is for, and must let the allowed case through.
/// </summary>
public sealed class LayeringTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("ryokan-layers-").FullName;

    public LayeringTests()
    {
        Directory.CreateDirectory(Path.Combine(_root, "eng"));
        foreach (string file in new[] { "Directory.Build.props", "Directory.Build.targets", "eng/layers.props" })
        {
            File.Copy(Path.Combine(RepositoryRoot.Path, file), Path.Combine(_root, file));
        }
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task AllowedReferencePasses()
    {
        string project = Write("src/Engine", references: ["X86", "GuestMemory"]);
        (int status, string output) = await Check(project);
        Assert.True(status == 0, output);
    }

    [Fact]
    public async Task ReferenceOutsideTheListIsRefusedAndBothProjectsAreNamed()
    {
        string project = Write("src/Hypervisor", references: ["Engine", "Engine.Soft"]);
        (int status, string output) = await Check(project);
        Assert.NotEqual(0, status);
        Assert.Contains("RYK0002", output, StringComparison.Ordinal);
        Assert.Contains("'Hypervisor' may not reference 'Engine.Soft'", output, StringComparison.Ordinal);
        Assert.DoesNotContain("may not reference 'Engine':", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task LowestLayerMayReferenceNothing()
    {
        string project = Write("src/Xen.Abi", references: ["X86"]);
        (int status, string output) = await Check(project);
        Assert.NotEqual(0, status);
        Assert.Contains("'Xen.Abi' may not reference 'X86'", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task UndeclaredProjectIsRefused()
    {
        string project = Write("src/Helpers", references: []);
        (int status, string output) = await Check(project);
        Assert.NotEqual(0, status);
        Assert.Contains("RYK0001", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task UnsafeCodeIsRefusedWhereItIsNotDeclared()
    {
        string project = Write("src/XenStore", references: ["Xen.Abi"], allowUnsafe: true);
        (int status, string output) = await Check(project);
        Assert.NotEqual(0, status);
        Assert.Contains("RYK0003", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TestProjectMayUseAnyLayerButNoTestProject()
    {
        string good = Write("tests/Engine.Tests", references: ["Engine", "Engine.Soft", "Hypervisor"]);
        (int status, string output) = await Check(good);
        Assert.True(status == 0, output);

        string bad = Write("tests/X86.Tests", references: ["X86", "Engine.Tests"]);
        (status, output) = await Check(bad);
        Assert.NotEqual(0, status);
        Assert.Contains("'X86.Tests' may not reference 'Engine.Tests'", output, StringComparison.Ordinal);
    }

    private string Write(string folder, string[] references, bool allowUnsafe = false)
    {
        string directory = Path.Combine(_root, folder);
        Directory.CreateDirectory(directory);
        string items = string.Concat(references.Select(
            r => $"<ProjectReference Include=\"../{r}/{r}.csproj\" />"));
        string text = $"<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup><AllowUnsafeBlocks>{allowUnsafe}"
            + $"</AllowUnsafeBlocks></PropertyGroup><ItemGroup>{items}</ItemGroup></Project>";
        string path = Path.Combine(directory, Path.GetFileName(folder) + ".csproj");
        File.WriteAllText(path, text);
        return path;
    }

    // PrepareForBuild is a step of every build, so this also shows that the check is wired into one.
    private static async Task<(int Status, string Output)> Check(string project)
    {
        ProcessStartInfo start = new("dotnet")
        {
            ArgumentList = { "msbuild", project, "-nologo", "-t:PrepareForBuild", "-nodeReuse:false" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> standard = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await standard + await error);
    }
}
