using System.Collections.Generic;

namespace Ryokan.Api.Guests;

/// <summary>
/// A value in an xl.cfg file: a list, or an atom. As in xl, a number is text until a key asks for one, so
/// <c>memory = 256</c> and <c>memory = "256"</c> are the same.
/// </summary>
public sealed class XlValue
{
    /// <summary>The text of an atom; null for a list.</summary>
    public string? Text { get; }

    /// <summary>The elements of a list; null for an atom.</summary>
    public IReadOnlyList<XlValue>? Elements { get; }

    public XlValue(string text) => Text = text;

    public XlValue(IReadOnlyList<XlValue> elements) => Elements = elements;
}

/// <summary>One <c>key = value</c> (or <c>key += value</c>) of a description.</summary>
/// <param name="Key">as written</param>
/// <param name="Value">what it is set to</param>
/// <param name="Append">written with <c>+=</c></param>
/// <param name="Place">where it stands, for messages: "file:line" or "command line"</param>
public sealed record XlAssignment(string Key, XlValue Value, bool Append, string Place);
