using System.Collections.Generic;
using System.Text.Json.Serialization;
using Ryokan.Api.Control;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Wire;

namespace Ryokan.Api;

/// <summary>How every record of the interface is written as JSON; generated at build time.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(DomainInfo))]
[JsonSerializable(typeof(IReadOnlyList<DomainInfo>))]
[JsonSerializable(typeof(DomainEnd))]
[JsonSerializable(typeof(CreateRequest))]
[JsonSerializable(typeof(ActionRequest))]
[JsonSerializable(typeof(DomainSettings))]
[JsonSerializable(typeof(SettingsResult))]
[JsonSerializable(typeof(DiskConfig))]
[JsonSerializable(typeof(DiskChange))]
[JsonSerializable(typeof(DiskInfo))]
[JsonSerializable(typeof(IReadOnlyList<DiskInfo>))]
[JsonSerializable(typeof(VifConfig))]
[JsonSerializable(typeof(InterfaceInfo))]
[JsonSerializable(typeof(IReadOnlyList<InterfaceInfo>))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(HostInfo))]
[JsonSerializable(typeof(DomainSpec))]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlReply))]
[JsonSerializable(typeof(StartReport))]
public sealed partial class ApiJson : JsonSerializerContext;
