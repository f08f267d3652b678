using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;

namespace Ryokan.Api.Guests.Network;

/// <summary>
/// The text of one interface: key=value pairs and flags with commas between them, as
/// xl-network-configuration(5) says, and two keys of our own: <c>type=user</c> (or <c>bridge</c>) and
/// <c>hostfwd=[tcp|udp]:[HOSTADDRESS]:HOSTPORT-:GUESTPORT</c>, any number of times, as QEMU writes it.
/// </summary>
public static class VifSpecification
{
    private const int MaxInterfaceName = 15, MaxForwards = 64, MaxAddresses = 32;
    private const int MinMtu = 68, MaxMtu = 65521;

    /// <summary>Bytes that xl grants at once when a rate names no interval.</summary>
    private const long DefaultRateInterval = 50_000;

    /// <summary>Largest device id that Xen's tools take.</summary>
    private const int MaxDeviceId = 255;

    /// <param name="text">the description</param>
    /// <param name="warnings">gets one line for each key that has no effect</param>
    /// <exception cref="FormatException">with one line that says what is wrong</exception>
    public static VifConfig Parse(string text, ICollection<string> warnings)
    {
        VifConfig vif = new();
        const StringSplitOptions tidy = StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries;
        foreach (string part in text.Split(',', tidy))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part : part[..equals].TrimEnd();
            string value = equals < 0 ? "" : part[(equals + 1)..].Trim();
            vif = Apply(vif, key, value, warnings);
        }
        return Check(vif);
    }

    private static VifConfig Apply(VifConfig vif, string key, string value, ICollection<string> warnings)
    {
        switch (key)
        {
            case "mac": return vif with { Mac = Mac(value) };
            case "bridge": return vif with { Bridge = InterfaceName(key, value) };
            case "vifname": return vif with { InterfaceName = InterfaceName(key, value) };
            case "ip": return vif with { Addresses = Addresses(value) };
            case "devid": return vif with { DeviceId = (int)Number(key, value, 0, MaxDeviceId) };
            case "mtu": return vif with { Mtu = (int)Number(key, value, MinMtu, MaxMtu) };
            case "type": return vif with { Kind = Kind(value, warnings) };
            case "hostfwd": return vif with { Forwards = [.. vif.Forwards, Forward(value)] };
            case "rate":
                (long bytes, long interval) = Rate(value);
                return vif with { RateBytes = bytes, RateIntervalMicroseconds = interval };
            case "backend" when value is "0" or "Domain-0":
                return vif;
            case "model" or "script" or "gatewaydev" or "netdev" or "backend" or "accel" or "trusted":
                warnings.Add($"{key}: known to xl but has no effect here; ignored");
                return vif;
            default:
                throw new FormatException($"'{Shown(key)}' is not a key of an interface; those are mac,"
                    + " bridge, vifname, ip, rate, mtu, devid, type, hostfwd");
        }
    }

    private static VifConfig Check(VifConfig vif)
    {
        if (vif.Forwards.Count > MaxForwards)
        {
            throw new FormatException($"hostfwd: more than {MaxForwards}");
        }
        if (vif.Forwards.Count > 0)
        {
            if (vif.Kind == VifKind.Bridge || vif.Bridge != null)
            {
                throw new FormatException("hostfwd: only a user-mode interface (type=user) forwards ports");
            }
            vif = vif with { Kind = VifKind.User };
        }
        if (vif.Kind == VifKind.User && vif.Bridge != null)
        {
            throw new FormatException("bridge: an interface of type=user is on none");
        }
        return vif.Bridge != null ? vif with { Kind = VifKind.Bridge } : vif;
    }

    private static VifKind Kind(string value, ICollection<string> warnings)
    {
        switch (value)
        {
            case "user": return VifKind.User;
            case "bridge": return VifKind.Bridge;
            case "vif": return VifKind.Automatic;
            case "ioemu":
                warnings.Add("type: 'ioemu' is for hvm guests; the interface is paravirtual");
                return VifKind.Automatic;
            default: throw new FormatException($"type: '{Shown(value)}' is not one of user, bridge, vif");
        }
    }

    private static string Mac(string value)
    {
        string[] parts = value.Split(':');
        bool valid = parts.Length == 6 && parts.All(p => p.Length is 1 or 2 && p.All(char.IsAsciiHexDigit));
        if (!valid)
        {
            throw new FormatException(
                $"mac: '{Shown(value)}' is not six pairs of hexadecimal digits with ':' between");
        }
        string mac = string.Join(':', parts.Select(p => p.PadLeft(2, '0'))).ToLowerInvariant();
        bool group = (Convert.ToByte(parts[0], 16) & 1) != 0;
        return !group && mac != "00:00:00:00:00:00" ? mac
            : throw new FormatException($"mac: {mac} is no address of a single interface");
    }

    private static string InterfaceName(string key, string value)
    {
        bool valid = value.Length is > 0 and <= MaxInterfaceName && value is not ("." or "..")
            && value.All(c => c is > ' ' and <= '~' and not ('/' or ':' or '%'));
        return valid ? value
            : throw new FormatException($"{key}: '{Shown(value)}' is no name of a network device"
                + $" (1 to {MaxInterfaceName} characters)");
    }

    private static List<string> Addresses(string value)
    {
        List<string> addresses = [];
        foreach (string text in value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!IPAddress.TryParse(text, out IPAddress? address) || !IsFullForm(text))
            {
                throw new FormatException($"ip: '{Shown(text)}' is no IP address");
            }
            addresses.Add(address.ToString());
        }
        return addresses.Count is > 0 and <= MaxAddresses ? addresses
            : throw new FormatException($"ip: 1 to {MaxAddresses} addresses with spaces between them");
    }

    /// <summary>Without "1.2" for 1.0.0.2 and the like, which nobody means.</summary>
    private static bool IsFullForm(string text) =>
        text.Contains(':', StringComparison.Ordinal) || text.Count(c => c == '.') == 3;

    /// <summary>
    /// RATE/s or RATE/s@INTERVAL, as xl has it: GB MB KB B bytes, Gb Mb Kb b bits; us, ms, s.
    /// </summary>
    private static (long Bytes, long IntervalMicroseconds) Rate(string value)
    {
        string[] parts = value.Split('@');
        string rate = parts[0];
        string digits = new([.. rate.TakeWhile(char.IsAsciiDigit)]);
        double unit = rate[digits.Length..] switch
        {
            "GB/s" => 1e9,
            "MB/s" => 1e6,
            "KB/s" => 1e3,
            "B/s" => 1,
            "Gb/s" => 1e9 / 8,
            "Mb/s" => 1e6 / 8,
            "Kb/s" => 1e3 / 8,
            "b/s" => 1.0 / 8,
            _ => 0,
        };
        long interval = parts.Length == 2 ? Interval(parts[1]) : DefaultRateInterval;
        bool valid = long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            && unit > 0 && parts.Length <= 2 && interval > 0 && number <= 1_000_000_000;
        long bytes = valid ? (long)(number * unit * interval / 1e6) : 0;
        return bytes > 0 ? (bytes, interval) : throw new FormatException(
            $"rate: '{Shown(value)}' is not of the form 10Mb/s or 1MB/s@20ms, or too little to count");
    }

    private static long Interval(string text)
    {
        string digits = new([.. text.TakeWhile(char.IsAsciiDigit)]);
        long unit = text[digits.Length..] switch
        {
            "us" => 1,
            "ms" => 1000,
            "s" => 1_000_000,
            _ => 0,
        };
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            && number is > 0 and <= 60_000_000 ? Math.Min(number * unit, 60_000_000) : 0;
    }

    private static HostForward Forward(string value)
    {
        int dash = value.LastIndexOf('-');
        int first = value.IndexOf(':', StringComparison.Ordinal);
        int second = dash < 0 ? -1 : value.LastIndexOf(':', dash);
        string protocol = first < 0 ? "" : value[..first];
        string guest = dash < 0 ? "" : value[(dash + 1)..];
        if (dash < 0 || second <= first || protocol is not ("tcp" or "udp" or "") || !guest.StartsWith(':'))
        {
            throw new FormatException($"hostfwd: '{Shown(value)}' is not of the form"
                + " tcp:[HOSTADDRESS]:HOSTPORT-:GUESTPORT");
        }
        string host = value[(first + 1)..second].Trim('[', ']');
        if (host.Length > 0 && !(IPAddress.TryParse(host, out _) && IsFullForm(host)))
        {
            throw new FormatException($"hostfwd: '{Shown(host)}' is no IP address");
        }
        return new HostForward(
            protocol == "udp", host.Length == 0 ? null : host,
            (int)Number("hostfwd", value[(second + 1)..dash], 1, 65535),
            (int)Number("hostfwd", guest[1..], 1, 65535));
    }

    private static long Number(string key, string text, long min, long max) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long n) && n >= min && n <= max
            ? n : throw new FormatException($"{key}: '{Shown(text)}' is not a number from {min} to {max}");

    private static string Shown(string text) => XlConfigParser.Shown(text);
}
