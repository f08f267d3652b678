using System;
using System.Linq;
using Ryokan.Api.Guests;
using Xunit;

namespace Ryokan.Api.Tests;

/// <summary>The syntax of xl.cfg(5).</summary>
public sealed class XlConfigParserTests
{
    private static string Show(XlValue value) =>
        value.Text ?? "[" + string.Join("|", value.Elements!.Select(Show)) + "]";

    private static string Show(string text) => string.Join(";",
        XlConfigParser.Parse(text, "f").Select(a => $"{a.Key}{(a.Append ? "+" : "")}={Show(a.Value)}"));

    [Theory]
    [InlineData("", "")]
    [InlineData("# only a comment", "")]
    [InlineData("\n\n;;\n ; \n", "")]
    [InlineData("a = 1", "a=1")]
    [InlineData("a=1\nb=2", "a=1;b=2")]
    [InlineData("a=1; b=2 ;c=3", "a=1;b=2;c=3")]
    [InlineData("a=1 # comment\nb=2 #", "a=1;b=2")]
    [InlineData("a='x # y'", "a=x # y")]
    [InlineData("a=\"it's\"", "a=it's")]
    [InlineData("a='say \"x\"'", "a=say \"x\"")]
    [InlineData("a='t\\tn\\\\q\\'\\\"x\\x41o\\101'", "a=t\tn\\q'\"xAoA")]
    [InlineData("a=0x1F", "a=0x1F")]
    [InlineData("a=-5", "a=-5")]
    [InlineData("a=[]", "a=[]")]
    [InlineData("a=['x']", "a=[x]")]
    [InlineData("a=[ 'x', 2, ]", "a=[x|2]")]
    [InlineData("a=[\n 'x', # first\n\n 'y'\n]\nb=1", "a=[x|y];b=1")]
    [InlineData("a=[['x',1],[],'y']", "a=[[x|1]|[]|y]")]
    [InlineData("a += 'x'", "a+=x")]
    [InlineData("a=1\r\nb=2\r\n", "a=1;b=2")]
    [InlineData("on_crash='destroy'", "on_crash=destroy")]
    public void Accepts(string text, string expected) => Assert.Equal(expected, Show(text));

    [Theory]
    [InlineData("a", "f:1: a: '=' was expected, found the end of the file")]
    [InlineData("a\n=1", "f:1: a: '=' was expected, found the end of the line")]
    [InlineData("a=", "f:1: a: a value was expected, found the end of the file")]
    [InlineData(
        "\n\na=\n", "f:3: a: a number, a quoted string or a list was expected, found the end of the line")]
    [InlineData("a=b", "f:1: a: a number, a quoted string or a list was expected, found 'b'")]
    [InlineData("a=1 b=2", "f:1: a: the line should end after the value, found 'b'")]
    [InlineData("a='x", "f:1: a: the string has no closing '")]
    [InlineData("x=1\na='x\ny'", "f:2: a: the string has no closing '")]
    [InlineData("a='\\q'", "f:1: a: unknown escape \\q in a string")]
    [InlineData("a='\\x4'", "f:1: a: a character code in a string has too few digits")]
    [InlineData("a='\\000'", "f:1: a: a character code in a string is not that of an ASCII character")]
    [InlineData("a=[1,\n2", "f:2: a: the list that starts in line 1 has no ']'")]
    [InlineData("a=[1 2]", "f:1: a: ',' or ']' was expected, found '2'")]
    [InlineData("=1", "f:1: a key was expected, found '='")]
    [InlineData("1=1", "f:1: a key was expected, found '='")]
    [InlineData("a=1\u0007", "f:1: a: the line should end after the value, found '?'")]
    public void RefusesWithPlaceKeyAndReason(string text, string expected) =>
        Assert.Equal(
            expected, Assert.Throws<GuestConfigException>(() => XlConfigParser.Parse(text, "f")).Message);

    [Fact]
    public void DeepListsAreRefusedNotRecursedInto() =>
        Assert.Contains("nested deeper", Assert.Throws<GuestConfigException>(
            () => XlConfigParser.Parse("a=" + new string('[', 100_000), "f")).Message,
                StringComparison.Ordinal);

    [Theory]
    [InlineData("memory=512", "memory=512")]
    [InlineData("name=web", "name=web")]
    [InlineData("extra=console=hvc0 quiet", "extra=console=hvc0 quiet")]
    [InlineData("extra='a b'", "extra=a b")]
    [InlineData("kernel=/boot/vmlinuz-6.1", "kernel=/boot/vmlinuz-6.1")]
    [InlineData("cpus=\"0-3\"; memory=64", "cpus=0-3;memory=64")]
    [InlineData("name=", "name=")]
    public void OverridesNeedNoQuotes(string word, string expected) => Assert.Equal(expected,
        string.Join(";", XlConfigParser.ParseOverride(word).Select(a => $"{a.Key}={Show(a.Value)}")));

    [Theory]
    [InlineData("memory")]
    [InlineData("=5")]
    [InlineData("a b=5")]
    [InlineData("extra='a")]
    public void BadOverridesAreRefused(string word) => Assert.StartsWith("command line",
        Assert.Throws<GuestConfigException>(() => XlConfigParser.ParseOverride(word)).Message,
            StringComparison.Ordinal);

    /// <summary>Whatever the bytes, the parser answers with values or with one line.</summary>
    [Fact]
    public void AnyTextGivesValuesOrOneLine()
    {
        Random random = new(42);
        const string alphabet = "ab=+[]'\"\\,;#\n 0x19\t\u0001é";
        for (int i = 0; i < 3_000; i++)
        {
            string text =
                string.Concat(
                    Enumerable.Range(0, random.Next(30)).Select(_ => alphabet[random.Next(alphabet.Length)]));
            try
            {
                XlConfigParser.Parse(text, "f");
            }
            catch (GuestConfigException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }
}
