using System;

namespace Ryokan.Images;

/// <summary>An image cannot be made, found or removed; the message is one line.</summary>
public sealed class ImageException(string message) : Exception(message);
