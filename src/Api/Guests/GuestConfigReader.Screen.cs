using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Api.Guests.Screen;

namespace Ryokan.Api.Guests;

public sealed partial class GuestConfigReader
{
    /// <summary>Keys of a description that mean a screen where there is no "vfb" (xl.cfg(5), "vfb").</summary>
    private static readonly string[] s_screenKeys =
        ["vnc", "vnclisten", "vncdisplay", "vncunused", "vncpasswd", "sdl", "opengl", "keymap"];

    /// <summary>The list "vfb", or what the keys of emulated graphics say; null: no screen.</summary>
    private VfbConfig? Screen()
    {
        string[] specifications = [.. Texts("vfb")];
        if (specifications.Length > 1)
        {
            throw Bad("vfb", "a guest has one screen");
        }
        string[] loose = [.. s_screenKeys.Where(_set.ContainsKey)];
        if (specifications is [var specification])
        {
            _warnings.AddRange(loose.Select(key =>
                $"{_set[key].Place}: {key}: does not count beside vfb, which says it all; ignored"));
            return Read("vfb", warnings => VfbSpecification.Parse(specification, warnings));
        }
        if (Number("vnc", 0, 1) == 1)
        {
            return Read("vnc", warnings => VfbSpecification.From(
                loose.Select(key => new KeyValuePair<string, string>(key, Text(key)!)), warnings));
        }
        _warnings.AddRange(loose.Where(key => key != "vnc").Select(key =>
            $"{_set[key].Place}: {key}: has no effect without vfb or vnc=1; ignored"));
        return null;
    }

    /// <summary>Unlike other lists this one is not shown when it is wrong: it may hold a password.</summary>
    private VfbConfig Read(string key, Func<ICollection<string>, VfbConfig> read)
    {
        List<string> warnings = [];
        try
        {
            VfbConfig vfb = read(warnings);
            _warnings.AddRange(warnings.Select(w => $"{_set[key].Place}: {key}: {w}"));
            return vfb;
        }
        catch (FormatException e)
        {
            throw Bad(key, e.Message);
        }
    }
}
