using System;
using System.Collections.Generic;
using System.Linq;

namespace Ryokan.Storage.Boot;

/// <summary>What GRUB would boot.</summary>
/// <param name="Title">of the menu entry</param>
/// <param name="Id">of the menu entry, or empty</param>
/// <param name="Path">titles of the submenus it lies in and its own, joined by '&gt;'; for choosing</param>
/// <param name="Kernel">path in the file system that "linux" names</param>
/// <param name="Arguments">what stands behind the kernel</param>
/// <param name="Ramdisks">paths that "initrd" names</param>
internal sealed record GrubEntry(
    string Title, string Id, string Path, string Kernel, string Arguments, IReadOnlyList<string> Ramdisks);

/// <summary>
/// Reads as much of a grub.cfg as describes menu entries (GRUB manual, "Writing full configuration files
/// directly").
/// Scripts are not run: of several values for "default" the last one that names no variable counts.
/// </summary>
internal sealed class GrubMenu
{
    private const int MaxEntries = 1000;

    private sealed class Draft
    {
        public string Title = "", Id = "", Path = "", Kernel = "", Arguments = "";
        public List<string> Ramdisks = [];
        public bool IsSubmenu;
        public int Depth, Index;
    }

    private readonly List<(GrubEntry Entry, string Numbers)> _entries = [];
    private string _default = "0";

    /// <summary>The default asks for the entry that was saved in grubenv.</summary>
    public bool UsesSavedEntry { get; private set; }

    /// <param name="text">of grub.cfg</param>
    public GrubMenu(string text)
    {
        Stack<Draft> open = new();
        int depth = 0;
        int[] counts = new int[64];
        foreach (string line in text.Split('\n'))
        {
            List<string> words = Words(line);
            if (words.Count == 0)
            {
                continue;
            }
            switch (words[0])
            {
                case "menuentry" or "submenu" when words.Count > 1 && words[^1] == "{"
                    && open.Count < counts.Length - 1:
                    Draft draft = Begin(words, open, depth);
                    draft.Index = counts[open.Count]++;
                    open.Push(draft);
                    counts[open.Count] = 0;
                    break;
                case "set" when words.Count > 1 && words[1].StartsWith("default=", StringComparison.Ordinal):
                    NoteDefault(words[1]["default=".Length..]);
                    break;
                default:
                    Take(words, open);
                    break;
            }
            depth += words.Count(w => w == "{") - words.Count(w => w == "}");
            while (open.TryPeek(out Draft? top) && depth <= top.Depth)
            {
                Finish(open);
            }
        }
    }

    private void NoteDefault(string value)
    {
        if (value.Contains("saved_entry", StringComparison.Ordinal))
        {
            UsesSavedEntry = true;
        }
        else if (!value.Contains('$', StringComparison.Ordinal))
        {
            _default = value;
        }
    }

    private static Draft Begin(List<string> words, Stack<Draft> open, int depth)
    {
        int id = words.FindIndex(w => w is "--id" or "$menuentry_id_option");
        string parent = open.TryPeek(out Draft? outer) ? outer.Path + ">" : "";
        return new Draft
        {
            Title = words[1],
            Id = id > 0 && id + 1 < words.Count ? words[id + 1] : "",
            Path = parent + words[1],
            IsSubmenu = words[0] == "submenu",
            Depth = depth,
        };
    }

    private static void Take(List<string> words, Stack<Draft> open)
    {
        if (!open.TryPeek(out Draft? entry) || entry.IsSubmenu || words.Count < 2)
        {
            return;
        }
        if (words[0] is "linux" or "linux16" or "linuxefi")
        {
            entry.Kernel = WithoutDevice(words[1]);
            entry.Arguments = string.Join(' ', words.Skip(2));
        }
        else if (words[0] is "initrd" or "initrd16" or "initrdefi")
        {
            entry.Ramdisks.AddRange(words.Skip(1).Select(WithoutDevice));
        }
    }

    private void Finish(Stack<Draft> open)
    {
        string numbers = string.Join('>', open.Reverse().Select(d => d.Index));
        Draft draft = open.Pop();
        if (!draft.IsSubmenu && draft.Kernel.Length > 0 && _entries.Count < MaxEntries)
        {
            _entries.Add((new GrubEntry(
                draft.Title, draft.Id, draft.Path, draft.Kernel, draft.Arguments, draft.Ramdisks), numbers));
        }
    }

    /// <summary>"(hd0,1)/vmlinuz" and "($root)/vmlinuz" are files of the same file system as far as we
    /// know.</summary>
    private static string WithoutDevice(string path) =>
        path.StartsWith('(') && path.IndexOf(')') is var end and > 0 ? path[(end + 1)..] : path;

    /// <summary>Words of a line, as GRUB splits them: quotes, backslashes, comments.</summary>
    private static List<string> Words(string line)
    {
        List<string> words = [];
        System.Text.StringBuilder word = new();
        bool inWord = false;
        char quote = '\0';
        for (int i = 0; i < line.Length; i++)
        {
            char c = line[i];
            if (quote != '\0' && c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '\'' or '"' && quote == '\0')
            {
                (quote, inWord) = (c, true);
            }
            else if (c == '\\' && quote != '\'' && i + 1 < line.Length)
            {
                word.Append(line[++i]);
                inWord = true;
            }
            else if (quote == '\0' && (char.IsWhiteSpace(c) || c == ';'))
            {
                End();
            }
            else if (quote == '\0' && c == '#' && !inWord)
            {
                break;
            }
            else
            {
                word.Append(c);
                inWord = true;
            }
        }
        End();
        return words;

        void End()
        {
            if (inWord)
            {
                words.Add(word.ToString());
                word.Clear();
                inWord = false;
            }
        }
    }

    public int Count => _entries.Count;

    /// <summary>The entry that a title, id, number ("0", "1&gt;2") or path of titles names; null when
    /// none.</summary>
    public GrubEntry? Find(string choice) =>
        _entries.Find(e => e.Numbers == choice || e.Entry.Id == choice || e.Entry.Title == choice
            || e.Entry.Path == choice || EndsLike(e.Entry, choice)).Entry;

    /// <summary>A path of ids: its last part names the entry.</summary>
    private static bool EndsLike(GrubEntry entry, string choice) =>
        entry.Id.Length > 0 && choice.EndsWith(">" + entry.Id, StringComparison.Ordinal);

    /// <summary>The default entry; the first one when the default names none.</summary>
    /// <param name="saved">"saved_entry" of grubenv, or null</param>
    public GrubEntry? Default(string? saved) =>
        (saved != null && UsesSavedEntry ? Find(saved) : null) ?? Find(_default)
            ?? _entries.FirstOrDefault().Entry;
}
