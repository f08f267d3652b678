using System;

namespace Ryokan.Backends;

/// <summary>
/// A front end broke the protocol (bad nodes, bad grants, a ring whose indices jump): its device is
/// disconnected. The message is one line without control characters, fit for a log.
/// </summary>
public sealed class FrontendException(string message) : Exception(message);
