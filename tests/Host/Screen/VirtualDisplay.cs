using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;

namespace Ryokan.Host.Tests.Screen;

/// <summary>
/// An X server without a screen (Xvfb), a stock viewer on it (TigerVNC's), and hands to use them (xdotool).
/// </summary>
internal sealed class VirtualDisplay : IDisposable
{
    private static readonly Dictionary<string, string> s_nothing = [];

    private readonly string _folder = Directory.CreateTempSubdirectory("ryh-x-").FullName;
    private readonly Process _server;
    private readonly string _display;
    private readonly List<Process> _viewers = [];

    public VirtualDisplay()
    {
        _server = Start("Xvfb", s_nothing, "-displayfd", "1", "-screen", "0", "1024x768x24", "-fbdir", _folder, "-nolisten", "tcp");
        _display = ":" + _server.StandardOutput.ReadLine();
    }

    private Process Start(
        string program, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        start.Environment["HOME"] = _folder;
        if (_display != null)
        {
            start.Environment["DISPLAY"] = _display;
        }
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }
        Process process = Process.Start(start)!;
        _ = process.StandardError.ReadToEndAsync();
        return process;
    }

    /// <summary>Opens the viewer on a VNC server of this machine.</summary>
    public Process View(int port, string? password = null)
    {
        Process viewer = Start("xtigervncviewer",
            password == null ? s_nothing : new Dictionary<string, string> { ["VNC_USERNAME"] = "", ["VNC_PASSWORD"] = password },
            "-AutoSelect=0", "-FullColor=1", "-PreferredEncoding=ZRLE", "-RemoteResize=0", "-Maximize=0", "-Shared=1",
            $"127.0.0.1::{port}");
        _viewers.Add(viewer);
        return viewer;
    }

    /// <summary>Runs xdotool; what it printed.</summary>
    public string Do(params string[] arguments)
    {
        using Process process = Start("xdotool", s_nothing, arguments);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output.Trim();
    }

    /// <summary>Waits for the viewer's window; its number.</summary>
    public string Window(string title)
    {
        string found = "";
        HostUnderTest.Await($"a window '{title}'", () =>
            (found = Do("search", "--onlyvisible", "--name", title).Split('\n').Last()).Length > 0);
        return found;
    }

    /// <summary>What the window shows: a part of the X server's own memory.</summary>
    public Picture Show(string window)
    {
        Dictionary<string, int> place = Do("getwindowgeometry", "--shell", window).Split('\n')
            .Select(l => l.Split('=')).ToDictionary(p => p[0], p => int.Parse(p[1]));
        Picture all = Picture.ReadXwd(Path.Combine(_folder, "Xvfb_screen0"));
        int width = Math.Min(place["WIDTH"], all.Width - place["X"]), height = Math.Min(place["HEIGHT"], all.Height - place["Y"]);
        return all.Part(place["X"], place["Y"], width, height);
    }

    public void Dispose()
    {
        foreach (Process process in (IEnumerable<Process>)[.. _viewers, _server])
        {
            if (!process.HasExited)
            {
                process.Kill();
                process.WaitForExit();
            }
            process.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }
}
