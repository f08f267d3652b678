using System;

namespace Ryokan.DomainHost;

/// <summary>What the operator asked for cannot be done; the message is one clear line.</summary>
internal sealed class OperatorException(string message) : Exception(message);
