using System;

namespace Ryokan.Linux.Interop.Network;

/// <summary>The host refuses something about its network; the message is one clear line.</summary>
public sealed class HostNetworkException(string message) : Exception(message);
