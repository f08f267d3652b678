using System;

namespace Ryokan.Xm;

/// <summary>The command cannot be done as given; the message is one clear line.</summary>
internal sealed class UsageException(string message) : Exception(message);
