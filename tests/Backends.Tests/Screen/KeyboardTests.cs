using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>What is typed and pointed reaches the guest's ring.</summary>
public sealed class KeyboardTests
{
    private const int ButtonLeft = 0x110;

    [Fact]
    public void KeysGoDownAndUp()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        front.Input.Key(30, down: true);
        front.Input.Key(30, down: true, repeated: true);
        front.Input.Key(30, down: false);
        front.Input.Key(30, down: false);
        front.Input.Key(31, down: true);
        Assert.Equal((1, 30u), Pressed(front.NextKey()));
        Assert.Equal((1, 30u), Pressed(front.NextKey()));
        Assert.Equal((0, 30u), Pressed(front.NextKey()));
        Assert.Equal((1, 31u), Pressed(front.NextKey()));
    }

    private static (int, uint) Pressed(XenkbdKey key) => (key.Pressed, key.Keycode);

    [Fact]
    public void AKeyThatTwoHoldGoesUpWhenBothHaveLetGo()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        front.Input.Key(42, down: true);
        front.Input.Key(42, down: true);
        front.Input.Key(42, down: false);
        front.Input.Key(30, down: true);
        front.Input.Key(42, down: false);
        Assert.Equal((1, 42u), Pressed(front.NextKey()));
        Assert.Equal((1, 42u), Pressed(front.NextKey()));
        Assert.Equal((1, 30u), Pressed(front.NextKey()));
        Assert.Equal((0, 42u), Pressed(front.NextKey()));
    }

    [Fact]
    public void PlacesAreInPixelsOfTheScreen()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard("request-abs-pointer=1");
        front.Input.Pointer(5000, 17, 1, 0);
        XenkbdPosition place = MemoryMarshal.Read<XenkbdPosition>(front.NextInput());
        Assert.Equal((KeyboardEvent.TypePos, 199, 17, 0), (place.Type, place.AbsX, place.AbsY, place.RelZ));
        Assert.Equal((1, ButtonLeft), ((int)front.NextKey().Pressed, ButtonLeft));
        // The wheel, up and down.
        front.Input.Pointer(199, 17, 1 | 8, 1);
        Assert.Equal(-1, MemoryMarshal.Read<XenkbdPosition>(front.NextInput()).RelZ);
        front.Input.Pointer(199, 17, 1, 1 | 8);
        front.Input.Pointer(199, 17, 1 | 16, 1);
        Assert.Equal(1, MemoryMarshal.Read<XenkbdPosition>(front.NextInput()).RelZ);
        front.Input.Pointer(199, 17, 4, 1);
        Assert.Equal((0, 0x110u), Pressed(front.NextKey()));
        Assert.Equal((1, 0x111u), Pressed(front.NextKey()));
    }

    [Fact]
    public void RawPlacesAreFractionsOfTheScreen()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard("request-abs-pointer=1", "request-raw-pointer=1");
        front.Input.Pointer(199, 50, 0, 0);
        XenkbdPosition place = MemoryMarshal.Read<XenkbdPosition>(front.NextInput());
        Assert.Equal((0x7fff, 50 * 0x7fff / 99), (place.AbsX, place.AbsY));
    }

    [Fact]
    public void MovementsAreDifferences()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        front.Input.Pointer(10, 20, 0, 0);
        front.Input.Pointer(7, 25, 0, 0);
        XenkbdMotion first = MemoryMarshal.Read<XenkbdMotion>(front.NextInput());
        XenkbdMotion second = MemoryMarshal.Read<XenkbdMotion>(front.NextInput());
        Assert.Equal((KeyboardEvent.TypeMotion, 10, 20), (first.Type, first.RelX, first.RelY));
        Assert.Equal((-3, 5), (second.RelX, second.RelY));
    }

    /// <summary>A guest that takes nothing costs bounded memory, and gets every release of what it saw pressed.</summary>
    [Fact]
    public void AGuestThatDoesNotTakeMissesKeysButNoRelease()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard("request-abs-pointer=1");
        front.Input.Key(42, down: true);
        for (int i = 0; i < 10_000; i++)
        {
            front.Input.Pointer(i % 200, i % 100, 0, 0);
            front.Input.Key(30, down: true);
            front.Input.Key(30, down: false);
        }
        front.Input.Key(42, down: false);
        Assert.Equal((1, 42u), Pressed(front.NextKey()));
        int down = 1, events = 0;
        for (bool released = false; !released; events++)
        {
            XenkbdKey key = MemoryMarshal.Read<XenkbdKey>(front.NextInput());
            if (key.Type == KeyboardEvent.TypeKey)
            {
                down += key.Pressed == 1 ? 1 : -1;
                released = key is { Keycode: 42, Pressed: 0 };
            }
        }
        Assert.Equal(0, down);
        Assert.InRange(events, 51, 400);
    }

    [Fact]
    public void AFullRingIsFilledAgainWhenTheGuestHasTaken()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        for (int i = 0; i < 60; i++)
        {
            front.Input.Key(2 + i, down: true);
        }
        ModelGuest.WaitFor(() => Volatile.Read(ref front.Words(front.KeyboardPage)[1]) == KeyboardEvent.InRingLen,
            () => "the ring is not full");
        for (uint i = 0; i < 60; i++)
        {
            Assert.Equal((1, 2 + i), Pressed(front.NextKey()));
        }
    }
}
