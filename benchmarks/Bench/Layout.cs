using System;
using System.IO;

namespace Ryokan.Bench;

/// <summary>Where things are, Ryokan's own places among them: a run has a daemon of its own. The calling script has made them and says so in the environment.</summary>
/// <param name="Images">The guests that benchmarks/images.sh has made.</param>
/// <param name="DiskWork">A directory of this run on the file system of the images; removed afterwards.</param>
/// <param name="Translations">Where this run's guests keep what they translated.</param>
/// <param name="Work">A directory of this run on a memory file system, as the guests have; removed afterwards.</param>
internal sealed record Layout(
    string Kernel, string Initramfs, string Images, string Busybox, string Xm, string Work, string DiskWork,
    string Translations, string Output) : IDisposable
{
    /// <exception cref="InvalidOperationException">a variable is not set: not started by ./bench</exception>
    public static Layout FromEnvironment(string output)
    {
        string cache = Variable("RYOKAN_CACHE");
        string work = Path.Combine("/dev/shm", $"ryokan-bench-{Environment.ProcessId}");
        string diskWork = Path.Combine(cache, "bench", $"run-{Environment.ProcessId}");
        string translations = Path.Combine(diskWork, "translations");
        Directory.CreateDirectory(work);
        Directory.CreateDirectory(diskWork);
        Directory.CreateDirectory(translations);
        Directory.CreateDirectory(output);
        Environment.SetEnvironmentVariable("RYOKAN_RUNTIME_DIR", Path.Combine(work, "run"));
        Environment.SetEnvironmentVariable("RYOKAN_STATE_DIR", Path.Combine(diskWork, "state"));
        Environment.SetEnvironmentVariable("RYOKAN_TRANSLATIONS", translations);
        return new Layout(
            Variable("RYOKAN_KERNEL"), Variable("RYOKAN_INITRAMFS"), Path.Combine(cache, "bench"),
            Path.Combine(cache, "busybox/bin/busybox"), Path.GetFullPath("xm"), work, diskWork,
            translations, Path.GetFullPath(output));
    }

    public void Dispose()
    {
        StopDaemon();
        Directory.Delete(Work, recursive: true);
        Directory.Delete(DiskWork, recursive: true);
    }

    private void StopDaemon()
    {
        string held = Path.Combine(Work, "run/ryokand.lock");
        if (File.Exists(held))
        {
            using ConsoleProcess stop = new("sh", ["-c", $"kill $(cat {held}); flock -w 20 {held} true"]);
            stop.WaitForExit(TimeSpan.FromSeconds(30));
        }
    }

    private static string Variable(string name) => Environment.GetEnvironmentVariable(name)
        ?? throw new InvalidOperationException($"{name} is not set: start this through ./bench");
}
