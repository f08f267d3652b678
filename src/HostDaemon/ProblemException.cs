using System;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon;

/// <summary>A request is refused; becomes the answer as it is.</summary>
internal sealed class ProblemException(int status, string code, string detail) : Exception(detail)
{
    public Problem Problem { get; } = new(status, code, detail);
}
