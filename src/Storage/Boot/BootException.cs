using System;

namespace Ryokan.Storage.Boot;

/// <summary>No kernel can be taken out of a disk; the message is one line that says what is
/// missing.</summary>
public sealed class BootException(string message) : Exception(message);
