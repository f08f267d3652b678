namespace Ryokan.Backends.Screen;

/// <summary>How a guest's pixels lie in its framebuffer (fbif.h: struct xenfb_page, struct xenfb_resize).</summary>
/// <param name="Width">pixels</param>
/// <param name="Height">pixels</param>
/// <param name="Stride">bytes from one row to the next</param>
/// <param name="Depth">bits of a pixel: 32 (xrgb 8:8:8:8) or 16 (rgb 5:6:5)</param>
/// <param name="Offset">bytes before the first row</param>
public readonly record struct PictureMode(int Width, int Height, int Stride, int Depth, int Offset)
{
    /// <summary>Most pixels on a side.</summary>
    public const int MaxSide = 8192;

    /// <summary>Most bytes of a framebuffer: 4096 times 4096 pixels.</summary>
    public const uint MaxBytes = 64u << 20;

    /// <summary>Bytes of one pixel.</summary>
    public int PixelBytes => Depth / 8;

    /// <summary>Checks what a guest wrote.</summary>
    /// <param name="memoryBytes">length of the framebuffer</param>
    /// <exception cref="FrontendException">the rows do not lie in it, or it is a mode that is not served</exception>
    public void Check(uint memoryBytes)
    {
        if (Width is < 1 or > MaxSide || Height is < 1 or > MaxSide)
        {
            throw new FrontendException($"a screen of {Width}x{Height} pixels; 1 to {MaxSide} each are served");
        }
        if (Depth is not (16 or 32))
        {
            throw new FrontendException($"pixels of {Depth} bits; 16 and 32 are served");
        }
        if (memoryBytes > MaxBytes)
        {
            throw new FrontendException($"a framebuffer of {memoryBytes} bytes; up to {MaxBytes} are served");
        }
        long row = (long)Width * PixelBytes;
        if (Offset < 0 || Stride < row || Offset + (long)Stride * (Height - 1) + row > memoryBytes)
        {
            throw new FrontendException($"{Height} rows of {row} bytes, {Stride} apart from {Offset} on,"
                + $" do not lie in a framebuffer of {memoryBytes} bytes");
        }
    }
}
