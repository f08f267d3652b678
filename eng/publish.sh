#!/usr/bin/env bash
# Makes the native programs: xm, ryokand and the domain process, in artifacts/bin. Does nothing, within
# milliseconds, when they are newer than every source file. eng/publish.sh [--force]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

output=artifacts/bin
stamp=$output/.stamp

# Source files that are newer than the programs; the first is enough.
newer() {
    [[ -e $stamp ]] || { echo missing; return; }
    find src eng/publish.sh eng/layers.props Directory.Build.props Directory.Build.targets Directory.Packages.props \
        \( -name bin -o -name obj \) -prune -o -type f -newer "$stamp" -print -quit
}

[[ ${1:-} == --force || -n $(newer) ]] || exit 0

mkdir -p artifacts
exec 9>artifacts/.publish-lock
flock 9
# Somebody else may have done it while we waited.
[[ ${1:-} == --force || -n $(newer) ]] || exit 0

command -v dotnet >/dev/null || { echo "${0##*/}: no 'dotnet' on PATH: install the .NET 10 SDK" >&2; exit 1; }
command -v gcc >/dev/null || command -v clang >/dev/null \
    || { echo "${0##*/}: no gcc or clang to link with; as root: apt-get install gcc libc6-dev zlib1g-dev" >&2; exit 1; }

echo "building the native programs (a minute or so, once)" >&2
stage=$(mktemp -d artifacts/publish.XXXXXX)
trap 'rm -rf "$stage"' EXIT
begun=$stage/begun
touch "$begun"
linker=clang
command -v clang >/dev/null || linker=gcc
# A link that was cut off leaves a program which the next build takes for finished.
unfinished=artifacts/.publish-unfinished
[[ ! -e $unfinished ]] || rm -rf src/{DomainHost,HostDaemon,Xm}/obj/Release/*/linux-x64/native
touch "$unfinished"
for project in DomainHost HostDaemon Xm; do
    # Restored by itself, for this runtime; what the projects share is built once by the first.
    dotnet publish "src/$project/$project.csproj" -c Release -r linux-x64 -nologo -v quiet \
        -p:CppCompilerAndLinker="$linker" -p:CopyOutputSymbolsToPublishDirectory=false -o "$stage/$project" >&2 9>&-
done
mkdir -p "$output"
# Renamed into place: a running program keeps its file.
for program in DomainHost/Ryokan.DomainHost HostDaemon/ryokand Xm/xm; do
    mv -f "$stage/$program" "$output/"
done
touch -r "$begun" "$stamp"
rm -f "$unfinished"
