using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Ryokan.Api.Guests;

/// <summary>
/// The syntax of xl.cfg(5) files: assignments separated by line ends or semicolons, strings in either kind of
/// quotes, decimal, octal and hexadecimal numbers, lists (nested, over several lines, with a trailing comma),
/// # comments.
/// </summary>
public sealed class XlConfigParser
{
    /// <summary>A description longer than this is something else.</summary>
    public const int MaxCharacters = 1 << 20;

    private const int MaxListDepth = 16;

    private readonly string _file;
    private readonly string _text;
    private int _at;
    private int _line = 1;

    private XlConfigParser(string text, string file) => (_text, _file) = (text, file);

    /// <param name="text">the description</param>
    /// <param name="file">its name, for messages</param>
    /// <exception cref="GuestConfigException">a syntax error</exception>
    public static IReadOnlyList<XlAssignment> Parse(string text, string file)
    {
        if (text.Length > MaxCharacters)
        {
            throw new GuestConfigException(
                $"{file}: larger than {MaxCharacters >> 20} MiB, not a guest description");
        }
        XlConfigParser parser = new(text, file);
        List<XlAssignment> assignments = [];
        while (parser.SkipToStatement())
        {
            assignments.Add(parser.ParseAssignment());
        }
        return assignments;
    }

    /// <summary>
    /// Parses a word of a command line: one or more assignments in the file syntax, or <c>key=text</c> with a
    /// text that is taken as it stands, because the shell has eaten its quotes.
    /// </summary>
    /// <exception cref="GuestConfigException">neither</exception>
    public static IReadOnlyList<XlAssignment> ParseOverride(string word)
    {
        const string place = "command line";
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        string key = equals < 0 ? "" : word[..equals].Trim();
        if (key.Length == 0 || !IsKey(key))
        {
            throw new GuestConfigException($"{place}: '{Shown(word)}': not of the form key=value");
        }
        try
        {
            return Parse(word, place);
        }
        catch (GuestConfigException) when (word[(equals + 1)..].TrimStart() is not ['"' or '\'' or '[', ..])
        {
            return [new XlAssignment(key, new XlValue(word[(equals + 1)..].Trim()), false, place)];
        }
    }

    private static bool IsKey(string key)
    {
        foreach (char c in key)
        {
            if (!IsKeyCharacter(c))
            {
                return false;
            }
        }
        return !char.IsAsciiDigit(key[0]);
    }

    private static bool IsKeyCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';

    /// <summary>Skips separators; false at the end of the text.</summary>
    private bool SkipToStatement()
    {
        do
        {
            SkipSpaces(true);
        }
        while (Take(';'));
        return _at < _text.Length;
    }

    private XlAssignment ParseAssignment()
    {
        int start = _at;
        while (_at < _text.Length && IsKeyCharacter(_text[_at]))
        {
            _at++;
        }
        string key = _text[start.._at];
        string place = $"{_file}:{_line}";
        if (key.Length == 0 || char.IsAsciiDigit(key[0]))
        {
            throw Error($"a key was expected, found {Next()}");
        }
        SkipSpaces(false);
        bool append = Take('+');
        if (!Take('='))
        {
            throw Error($"{key}: '=' was expected, found {Next()}");
        }
        XlValue value = ParseValue(0, key);
        SkipSpaces(false);
        if (_at < _text.Length && _text[_at] is not ('\n' or ';'))
        {
            throw Error($"{key}: the line should end after the value, found {Next()}");
        }
        return new XlAssignment(key, value, append, place);
    }

    private XlValue ParseValue(int depth, string key)
    {
        SkipSpaces(depth != 0);
        if (_at == _text.Length)
        {
            throw Error($"{key}: a value was expected, found {Next()}");
        }
        char c = _text[_at];
        return c switch
        {
            '"' or '\'' => new XlValue(ParseString(key)),
            '[' => ParseList(depth + 1, key),
            _ when char.IsAsciiDigit(c) || c == '-' => new XlValue(ParseNumber()),
            _ => throw Error($"{key}: a number, a quoted string or a list was expected, found {Next()}"),
        };
    }

    private string ParseNumber()
    {
        int start = _at++;
        while (_at < _text.Length && char.IsAsciiLetterOrDigit(_text[_at]))
        {
            _at++;
        }
        return _text[start.._at];
    }

    private XlValue ParseList(int depth, string key)
    {
        if (depth > MaxListDepth)
        {
            throw Error($"{key}: lists nested deeper than {MaxListDepth}");
        }
        int opened = _line;
        _at++;
        List<XlValue> elements = [];
        for (; ; )
        {
            SkipSpaces(true);
            if (Take(']'))
            {
                return new XlValue(elements);
            }
            if (_at < _text.Length)
            {
                elements.Add(ParseValue(depth, key));
                SkipSpaces(true);
            }
            if (_at == _text.Length)
            {
                throw Error($"{key}: the list that starts in line {opened} has no ']'");
            }
            if (!Take(',') && _text[_at] != ']')
            {
                throw Error($"{key}: ',' or ']' was expected, found {Next()}");
            }
        }
    }

    private string ParseString(string key)
    {
        char quote = _text[_at++];
        StringBuilder text = new();
        while (_at < _text.Length && _text[_at] is not '\n')
        {
            char c = _text[_at++];
            if (c == quote)
            {
                return text.ToString();
            }
            text.Append(c == '\\' && _at < _text.Length ? ParseEscape(key) : c);
        }
        throw Error($"{key}: the string has no closing {quote}");
    }

    /// <summary>The character after a backslash: the C escapes, octal \nnn and hexadecimal \xnn.</summary>
    private char ParseEscape(string key)
    {
        char c = _text[_at++];
        switch (c)
        {
            case 'a': return '\a';
            case 'b': return '\b';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'v': return '\v';
            case '\\' or '"' or '\'': return c;
            case 'x': return ParseCode(key, 2, NumberStyles.AllowHexSpecifier);
            case >= '0' and <= '7':
                _at--;
                return ParseCode(key, 3, NumberStyles.None);
            default:
                throw Error($"{key}: unknown escape \\{Shown(c.ToString())} in a string");
        }
    }

    private char ParseCode(string key, int digits, NumberStyles style)
    {
        int end = Math.Min(_at + digits, _text.Length);
        int value = 0;
        for (int i = _at; i < end; i++)
        {
            int digit = char.IsAsciiHexDigit(_text[i]) ? Convert.ToInt32(_text[i].ToString(), 16) : 99;
            if (style == NumberStyles.None ? digit > 7 : digit > 15)
            {
                throw Error($"{key}: a character code in a string has too few digits");
            }
            value = value * (style == NumberStyles.None ? 8 : 16) + digit;
        }
        if (end - _at != digits || value is 0 or > 127)
        {
            throw Error($"{key}: a character code in a string is not that of an ASCII character");
        }
        _at = end;
        return (char)value;
    }

    /// <summary>Spaces, comments and, where they mean nothing, line ends.</summary>
    private void SkipSpaces(bool lineEnds)
    {
        for (; _at < _text.Length; _at++)
        {
            char c = _text[_at];
            if (c == '#')
            {
                int end = _text.IndexOf('\n', _at);
                _at = (end < 0 ? _text.Length : end) - 1;
            }
            else if (c == '\n' && lineEnds)
            {
                _line++;
            }
            else if (c is not (' ' or '\t' or '\r'))
            {
                return;
            }
        }
    }

    private bool Take(char c)
    {
        if (_at < _text.Length && _text[_at] == c)
        {
            _at++;
            return true;
        }
        return false;
    }

    private string Next() => _at == _text.Length ? "the end of the file"
        : _text[_at] == '\n' ? "the end of the line" : $"'{Shown(_text[_at].ToString())}'";

    private GuestConfigException Error(string reason) => new($"{_file}:{_line}: {reason}");

    /// <summary>Text from a file, safe to print: short, no control characters.</summary>
    internal static string Shown(string text)
    {
        StringBuilder shown = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, 60)))
        {
            shown.Append(char.IsControl(c) ? '?' : c);
        }
        return text.Length > 60 ? shown.Append("...").ToString() : shown.ToString();
    }
}
