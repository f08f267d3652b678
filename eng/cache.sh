# shellcheck shell=bash
# Where downloaded things live, and how a Debian package gets there without being installed.
# Sourced by the other scripts, never run.

if [[ -z "${RYOKAN_CACHE:-}" ]]; then
    if [[ $EUID -eq 0 ]]; then
        RYOKAN_CACHE=/var/cache/ryokan
    else
        RYOKAN_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/ryokan"
    fi
fi
export RYOKAN_CACHE

# The tools that ship with the SDK need ICU or this; a fresh machine need not have ICU.
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# The unmodified kernel, the small busybox initramfs, and Xen's public headers (the folder of xen.h).
export RYOKAN_KERNEL="$RYOKAN_CACHE/vmlinuz"
export RYOKAN_INITRAMFS="$RYOKAN_CACHE/initramfs.gz"
# Another of Debian's kernels, for the tests of screens.
export RYOKAN_SCREEN_KERNEL="$RYOKAN_CACHE/screen-kernel/vmlinuz"
if [[ -z "${XEN_HEADERS:-}" ]]; then
    XEN_HEADERS=/usr/include/xen
    [[ -r $XEN_HEADERS/xen.h ]] || XEN_HEADERS="$RYOKAN_CACHE/xen-headers/usr/include/xen"
fi
export XEN_HEADERS

# Debian's xenstore clients, an independent reader of our store: the root of the unpacked packages, empty when the
# clients are installed.
if [[ -z "${XENSTORE_TOOLS+set}" ]]; then
    XENSTORE_TOOLS=
    command -v xenstore-ls >/dev/null || XENSTORE_TOOLS="$RYOKAN_CACHE/xenstore-tools"
fi
export XENSTORE_TOOLS

# say TEXT...: progress for people, kept off stdout.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT...: one clear line, and the end.
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# The host's apt, but downloads as the caller and, when RYOKAN_OWN_LISTS is set, with package lists of our own: an
# ordinary user can neither refresh nor, on a fresh machine, find the lists of the system.
apt_as_caller() {
    local tool=$1 own=${RYOKAN_OWN_LISTS:-}
    shift
    local options=(-o "APT::Sandbox::User=$(id -un)" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    if [[ -n "${RYOKAN_FOREIGN:-}" ]]; then
        own=1
        options+=(-o APT::Architectures::=amd64 -o "APT::Architectures::=$RYOKAN_FOREIGN")
    fi
    if [[ -n "$own" ]]; then
        local state=$RYOKAN_CACHE/apt${RYOKAN_FOREIGN:+-$RYOKAN_FOREIGN}
        mkdir -p "$state/lists/partial" "$state/archives/partial"
        options+=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state")
    fi
    "$tool" "${options[@]}" "$@"
}

# refresh_package_lists: once in the life of the calling script.
refresh_package_lists() {
    [[ -z "${RYOKAN_LISTS_FRESH:-}" ]] || return 0
    say "refreshing the package lists"
    local output
    if [[ $EUID -eq 0 && -z "${RYOKAN_FOREIGN:-}" ]]; then
        output=$(apt-get update -qq 2>&1) || fail "apt-get update: $output"
    else
        RYOKAN_OWN_LISTS=1
        # Clean-up hooks of the system's own configuration may fail for an ordinary user; what counts is whether
        # the package is found afterwards.
        output=$(apt_as_caller apt-get update -qq 2>&1) || true
        RYOKAN_APT_OUTPUT=$output
    fi
    RYOKAN_LISTS_FRESH=1
}

# download_packages DIRECTORY PACKAGE...: leaves the .deb files in DIRECTORY. Known lists first (quick, and enough
# on most machines), fresh ones when a package is unknown or gone from the archive.
download_packages() {
    local directory=$1
    shift
    say "fetching $*"
    if (cd "$directory" && apt_as_caller apt-get download -qq "$@" >/dev/null 2>&1); then
        return 0
    fi
    refresh_package_lists
    (cd "$directory" && apt_as_caller apt-get download -qq "$@" >&2) \
        || fail "cannot download the Debian packages $*: apt-get download says why above"
}

# dependency_of PACKAGE PATTERN: the first dependency whose name begins with PATTERN (a kernel meta package names
# the package of the current version that way).
dependency_of() {
    local package=$1 pattern=$2 found
    found=$(first_dependency "$package" "$pattern")
    if [[ -z "$found" ]]; then
        refresh_package_lists
        found=$(first_dependency "$package" "$pattern")
    fi
    [[ -n "$found" ]] || fail "the package lists know no $package that depends on $pattern*" \
        "${RYOKAN_APT_OUTPUT:+(apt-get update said: $RYOKAN_APT_OUTPUT)}"
    printf '%s\n' "$found"
}

first_dependency() {
    local listing
    listing=$(apt_as_caller apt-cache depends "$1" 2>/dev/null || true)
    sed -n "/^ *Depends: $2/{s/^ *Depends: //p;q}" <<<"$listing"
}

# unpack_packages TREE PACKAGE...: the files of the packages as TREE, all or nothing; what was there goes.
unpack_packages() {
    local tree=$1 work package
    shift
    mkdir -p "$RYOKAN_CACHE"
    work=$(mktemp -d "$RYOKAN_CACHE/unpack.XXXXXX")
    mkdir "$work/debs" "$work/tree"
    download_packages "$work/debs" "$@"
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/tree"
    done
    rm -rf "$tree"
    mkdir -p "$(dirname "$tree")"
    mv "$work/tree" "$tree"
    rm -rf "$work"
}

# unpack_foreign_packages ARCHITECTURE TREE PACKAGE...: the same for packages of another architecture, which this
# machine need not be configured for.
unpack_foreign_packages() {
    local architecture=$1 tree=$2 package
    shift 2
    (
        RYOKAN_FOREIGN=$architecture
        RYOKAN_LISTS_FRESH=
        names=()
        for package in "$@"; do names+=("$package:$architecture"); done
        unpack_packages "$tree" "${names[@]}"
    )
}
