#!/usr/bin/env bash
# Makes a Debian 12 machine with git and the .NET 10 SDK ready: eng/setup.sh [--bench] [--test] [--refresh]
#
# Installs the Debian packages that building needs (as root; an ordinary user is told which are missing), and puts
# into the cache directory, without installing them: the kernel out of linux-image-cloud-amd64, an initramfs made
# from busybox-static, Xen's public headers out of libxen-dev, its xenstore clients out of xenstore-utils, and passt.
# Does nothing, quickly, when all is there.
#   --bench     also what ./bench compares with
#   --test      also what ./test looks at screens with: a kernel that has a keyboard, and for root VNC viewers
#   --refresh   fetch the newest kernel, busybox and headers again
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=eng/cache.sh
. "$here/cache.sh"

# What has to be installed, and why.
packages=(
    gcc libc6-dev zlib1g-dev # NativeAOT links with the system's compiler; tests and benchmarks compile C programs
    qemu-utils # tests: images that QEMU makes, and its judgement of ours
    e2fsprogs        # mke2fs makes root file systems; its libext2fs reads kernels out of them (bootloader)
    mmdebstrap       # xm image build; it needs uidmap when it runs for an ordinary user
    uidmap
    genisoimage # cloudinit: the seed disk
)
# What root's tests of bridges make network namespaces with; nobody else can.
[[ $EUID -ne 0 ]] || packages+=(iproute2)
bench_packages=(
    qemu-system-x86 # what ./bench compares with
)
test_packages=(
    tigervnc-viewer # stock VNC viewers: one that shows and types, on an X server without a screen,
    xvfb
    xdotool
    gvncviewer # and one that takes a picture (gvnccapture)
    libxkbcommon0 # keyboards other than the US one
    xkb-data
    openssh-client # logs in to a Debian guest
)
refresh=
for_tests=

for argument in "$@"; do
    case $argument in
    --bench) packages+=("${bench_packages[@]}") ;;
    --test)
        for_tests=1
        [[ $EUID -ne 0 ]] || packages+=("${test_packages[@]}")
        ;;
    --refresh) refresh=1 ;;
    *) fail "unknown argument $argument" ;;
    esac
done

check_tools() {
    local tool
    command -v dotnet >/dev/null || fail "no 'dotnet' on PATH: install the .NET 10 SDK"
    for tool in apt-get apt-cache dpkg-deb dpkg-query gzip flock; do
        command -v "$tool" >/dev/null || fail "no '$tool' on PATH: this script is for Debian 12"
    done
}

install_packages() {
    local missing=() package states
    states=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
    for package in "${packages[@]}"; do
        [[ $'\n'"$states"$'\n' == *$'\n'"$package installed"$'\n'* ]] || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    if [[ $EUID -ne 0 ]]; then
        fail "missing Debian packages; as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    refresh_package_lists
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

fetch_kernel() {
    local package kernel
    [[ -z $refresh && -r $RYOKAN_KERNEL ]] && return 0
    package=$(dependency_of linux-image-cloud-amd64 linux-image-)
    unpack_packages "$RYOKAN_CACHE/kernels/$package" "$package"
    kernel=$(find "$RYOKAN_CACHE/kernels/$package/boot" -name 'vmlinuz-*' | head -n 1)
    [[ -n $kernel ]] || fail "the package $package holds no boot/vmlinuz-*"
    ln -sfn "${kernel#"$RYOKAN_CACHE/"}" "$RYOKAN_KERNEL"
}

# The kernel of linux-image-amd64, which unlike the cloud's has a driver for Xen's keyboard; of its 400 MB of modules
# only the one that shows programs what is typed.
fetch_screen_kernel() {
    local package work kernel
    [[ -z $refresh && -r $RYOKAN_SCREEN_KERNEL && -r $RYOKAN_CACHE/screen-kernel/evdev.ko ]] && return 0
    package=$(dependency_of linux-image-amd64 linux-image-)
    work=$(mktemp -d "$RYOKAN_CACHE/unpack.XXXXXX")
    download_packages "$work" "$package"
    dpkg-deb --fsys-tarfile "$work/$package"_*.deb \
        | tar -x -C "$work" --wildcards './boot/vmlinuz-*' '*/drivers/input/evdev.ko'
    kernel=$(find "$work/boot" -name 'vmlinuz-*' | head -n 1)
    [[ -n $kernel ]] || fail "the package $package holds no boot/vmlinuz-*"
    rm -rf "$RYOKAN_CACHE/screen-kernel"
    mkdir "$RYOKAN_CACHE/screen-kernel"
    mv "$kernel" "$RYOKAN_SCREEN_KERNEL"
    find "$work/lib" -name evdev.ko -exec mv {} "$RYOKAN_CACHE/screen-kernel/evdev.ko" \;
    rm -rf "$work"
}

# The initramfs is made again when what goes into it is newer. The one that is there stays until the new one takes its
# name (initramfs.sh): guests of another checkout may be starting from it.
make_initramfs() {
    local busybox=$RYOKAN_CACHE/busybox tree source stale=$refresh
    if [[ -n $refresh || ! -x $busybox/bin/busybox ]]; then
        unpack_packages "$busybox" busybox-static
        stale=1
    fi
    for source in "$here"/initramfs/{init,tour} "$here"/{initramfs,busybox-tree,guest-modules}.sh "$RYOKAN_KERNEL"; do
        [[ ! $source -nt $RYOKAN_INITRAMFS ]] || stale=1
    done
    [[ -n $stale ]] || return 0
    say "making $RYOKAN_INITRAMFS"
    tree=$(mktemp -d "$RYOKAN_CACHE/initramfs.XXXXXX")
    "$here/busybox-tree.sh" "$busybox/bin/busybox" "$tree"
    install -m 755 "$here/initramfs/tour" "$tree/bin/tour"
    "$here/guest-modules.sh" "$tree"
    "$here/initramfs.sh" "$tree" "$RYOKAN_INITRAMFS"
    rm -rf "$tree"
}

fetch_xen_headers() {
    [[ -z $refresh && -r $XEN_HEADERS/xen.h ]] && return 0
    unpack_packages "$RYOKAN_CACHE/xen-headers" libxen-dev
}

fetch_xenstore_tools() {
    [[ -n $XENSTORE_TOOLS ]] || return 0
    [[ -z $refresh && -x $XENSTORE_TOOLS/usr/bin/xenstore-ls ]] && return 0
    unpack_packages "$XENSTORE_TOOLS" xenstore-utils libxenstore4 libxentoolcore1
}

# User-mode network of the guests; it needs no privileges and no installation.
fetch_passt() {
    command -v passt >/dev/null && return 0
    [[ -z $refresh && -x $RYOKAN_CACHE/passt/usr/bin/passt ]] && return 0
    unpack_packages "$RYOKAN_CACHE/passt" passt
}

check_tools
install_packages
mkdir -p "$RYOKAN_CACHE"
# Two commands started together must not unpack over each other.
exec 9>"$RYOKAN_CACHE/lock"
flock 9
fetch_kernel
make_initramfs
fetch_xen_headers
fetch_xenstore_tools
fetch_passt
[[ -z $for_tests ]] || fetch_screen_kernel
