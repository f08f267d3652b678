using System;
using System.Globalization;
using System.IO;

namespace Ryokan.Bench;

internal static class Program
{
    private static int Main(string[] arguments)
    {
        Options options;
        try
        {
            options = Options.Parse(arguments);
        }
        catch (FormatException e)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            Console.Error.WriteLine(Options.Usage);
            return 2;
        }

        using Layout layout = Layout.FromEnvironment(options.Output);
        Samples samples = new();
        new Runner(options, layout, samples).Run();

        Report report = new(options, samples, Machine.Describe(options, layout));
        string markdown = report.Markdown();
        string stem = Path.Combine(
            layout.Output, DateTime.UtcNow.ToString("yyyy-MM-dd-HHmm", CultureInfo.InvariantCulture));
        File.WriteAllText(stem + ".md", markdown);
        using (FileStream json = File.Create(stem + ".json"))
        {
            report.WriteJson(json);
        }

        if (options.UpdateReadme)
        {
            string source = Path.GetRelativePath(Environment.CurrentDirectory, stem + ".md");
            UpdateReadme("figures", report.Summary(source));
            UpdateReadme("device figures", report.DeviceSummary(source));
        }

        Console.WriteLine(markdown);
        Console.Error.WriteLine($"written to {stem}.md and {stem}.json");
        return samples.Problems.Count == 0 ? 0 : 1;
    }

    /// <summary>Replaces what stands between two marks; an empty summary leaves it.</summary>
    private static void UpdateReadme(string name, string summary)
    {
        string begin = $"<!-- {name}: written by ./bench --readme -->\n", end = $"<!-- end of {name} -->";
        string text = File.ReadAllText("README.md");
        int from = text.IndexOf(begin, StringComparison.Ordinal), to = text.IndexOf(end, StringComparison.Ordinal);
        if (from < 0 || to < from)
        {
            throw new InvalidOperationException($"README.md has lost the marks around its {name}");
        }

        if (summary.Length > 0)
        {
            File.WriteAllText("README.md", text[..(from + begin.Length)] + summary + text[to..]);
        }
    }
}
