using System;

namespace Ryokan.Api.Guests;

/// <summary>
/// A guest description is not usable. The message is one line: file, line where known, key, reason.
/// </summary>
public sealed class GuestConfigException(string message) : Exception(message);
