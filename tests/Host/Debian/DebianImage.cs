using System;
using System.IO;
using Ryokan.Host.Tests.Disks;
using Xunit;

namespace Ryokan.Host.Tests.Debian;

/// <summary>
/// A root disk that xm image build makes, once for all tests that want one, with PostgreSQL and a key for ssh.
/// </summary>
public sealed class DebianImage : IDisposable
{
    public const string Name = "deb", HostName = "inn";

    private readonly HostUnderTest _host = new();
    private readonly Lazy<string> _path;

    public DebianImage() => _path = new Lazy<string>(Build);

    /// <summary>The private key that opens a guest.</summary>
    public string KeyFile { get; private set; } = "";

    public void Dispose() => _host.Dispose();

    private string Build()
    {
        KeyFile = _host.Write("key", []);
        File.Delete(KeyFile);
        DiskImage.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KeyFile);
        // Some hundred packages are fetched and configured.
        _host.MustWithin(TimeSpan.FromMinutes(15), "image", "build", Name, "--size", "3G", "--hostname", HostName,
            "--ssh-key", KeyFile + ".pub", "--package", "postgresql");
        Assert.Contains(Name + " ", _host.Must("image", "list"), StringComparison.Ordinal);
        Assert.Contains($"there is an image '{Name}' already", _host.MustFail("image", "build", Name),
            StringComparison.Ordinal);
        return Path.Combine(_host.State, "images", Name + ".qcow2");
    }

    /// <summary>A disk with what the image holds: a raw one, or a qcow2 one backed by the image.</summary>
    internal string Disk(HostUnderTest host, string format)
    {
        string path = host.Write("root." + format, []);
        File.Delete(path);
        if (format == "qcow2")
        {
            DiskImage.Run("qemu-img", "create", "-q", "-f", format, "-b", _path.Value, "-F", "qcow2", path);
        }
        else
        {
            DiskImage.Run("qemu-img", "convert", "-f", "qcow2", "-O", format, _path.Value, path);
        }
        return path;
    }

    /// <summary>An image that a guest's disk is backed by cannot be removed.</summary>
    internal void AssertInUse() => Assert.Contains(_path.Value, _host.MustFail("image", "rm", Name),
        StringComparison.Ordinal);
}

/// <summary>The tests that share the image, one after the other.</summary>
[CollectionDefinition(Name)]
public sealed class DebianCollection : ICollectionFixture<DebianImage>
{
    public const string Name = "Debian";
}
