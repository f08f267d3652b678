using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Domains;

/// <summary>One domain that the daemon knows.</summary>
internal sealed class DomainRecord(DomainSpec spec, string directory)
{
    /// <summary>How it was started; replaced when it is renamed.</summary>
    public DomainSpec Spec { get; set; } = spec;

    public string Directory { get; } = directory;

    public int Id => Spec.Id;

    public string Name => Spec.Name;

    /// <summary>0 until known.</summary>
    public int ProcessId { get; set; }

    /// <summary>False while it is being built: lists leave it out.</summary>
    public bool Started { get; set; }

    /// <summary>Done when the guest has stopped and what has to follow has been done.</summary>
    public TaskCompletionSource<DomainEnd> End { get; } =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Done when its process is gone and its directory removed.</summary>
    public TaskCompletionSource Gone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string ControlSocket => Path.Combine(Directory, DomainFiles.ControlSocket);
}
