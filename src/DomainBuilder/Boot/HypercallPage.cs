using System;

namespace Ryokan.DomainBuilder.Boot;

/// <summary>
/// The page of hypercall stubs that older PV kernels call: 128 stubs of 32 bytes, stub n makes hypercall n
/// (xen/include/public/arch-x86/xen-x86_64.h, "Hypercall interface").
/// </summary>
internal static class HypercallPage
{
    private const int StubBytes = 32, Stubs = 128, Iret = 23;

    public static void Write(Span<byte> page)
    {
        page.Fill(0xcc);
        for (int number = 0; number < Stubs; number++)
        {
            Span<byte> stub = page.Slice(number * StubBytes, StubBytes);
            byte low = (byte)number;
            if (number == Iret)
            {
                // push rcx; push r11; push rax; mov eax,23; syscall: the hypervisor does not return here.
                ((ReadOnlySpan<byte>)[0x51, 0x41, 0x53, 0x50, 0xb8, low, 0, 0, 0, 0x0f, 0x05]).CopyTo(stub);
            }
            else
            {
                // push rcx; push r11; mov eax,n; syscall; pop r11; pop rcx; ret
                ReadOnlySpan<byte> code =
                    [0x51, 0x41, 0x53, 0xb8, low, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3];
                code.CopyTo(stub);
            }
        }
    }
}
