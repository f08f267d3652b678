using System;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>A kernel image is not what it should be; the message is the reason alone.</summary>
internal sealed class KernelFormatException(string reason) : Exception(reason);
