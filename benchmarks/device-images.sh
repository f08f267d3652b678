#!/usr/bin/env bash
# Builds the guests of the device rows under $RYOKAN_CACHE/bench: benchmarks/device-images.sh [GROUP...], all of
#   disk          disk.cpio, and disk/, the tree it was made from: Debian's fio; the host runs it out of the tree
#   network       network.cpio and network/: iperf3
#   services      services.cpio and services/: PostgreSQL, nginx, ab
#   debian-boot   debian-12.qcow2, built by `xm image build` and started once, and its kernel and ramdisk beside it
# Quick when nothing has changed. What is not named is not made.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
# shellcheck source=eng/cache.sh
. "$root/eng/cache.sh"

out=$RYOKAN_CACHE/bench
busybox=$RYOKAN_CACHE/busybox/bin/busybox
programs=$here/programs/devices

packages_of() {
    case $1 in
    disk)
        # fio links with everything that it knows how to talk to.
        echo fio libaio1 libc6 libgfapi0 libgfrpc0 libgfxdr0 libglusterfs0 libtirpc3 libibverbs1 libnbd0 libnuma1 \
            libpmem1 libpmemblk1 libdaxctl1 libndctl6 librados2 librbd1 librdmacm1 zlib1g libgcc-s1 libacl1 \
            libnl-3-200 libnl-route-3-200 libgnutls30 libxml2 libblkid1 libboost-iostreams1.74.0 \
            libboost-thread1.74.0 libfmt9 libssl3 libstdc++6 libudev1 libcryptsetup12 libuuid1 libgssapi-krb5-2 \
            libgmp10 libhogweed6 libidn2-0 libnettle8 libp11-kit0 libtasn1-6 libunistring2 libicu72 liblzma5 \
            libkmod2 libbz2-1.0 libzstd1 libargon2-1 libdevmapper1.02.1 libjson-c5 libcom-err2 libk5crypto3 \
            libkrb5-3 libkrb5support0 libffi8 libselinux1 libpcre2-8-0 libkeyutils1 ;;
    network) echo libc6 iperf3 libiperf0 libsctp1 libssl3 ;;
    services)
        echo libc6 libgcc-s1 libstdc++6 zlib1g postgresql-15 postgresql-client-15 libpq5 libicu72 libldap-2.5-0 \
            libsasl2-2 libpam0g libaudit1 libcap-ng0 libselinux1 libpcre2-8-0 libssl3 libsystemd0 libcap2 \
            libgcrypt20 libgpg-error0 liblzma5 liblz4-1 libzstd1 libxml2 libxslt1.1 libuuid1 libgssapi-krb5-2 \
            libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libkeyutils1 libgnutls30 libp11-kit0 libidn2-0 \
            libunistring2 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8 libreadline8 libtinfo6 tzdata nginx \
            libcrypt1 apache2-utils libapr1 libaprutil1 libexpat1 ;;
    esac
}

# The packages' files are kept apart from the trees, so that a change of a job fetches nothing.
packages_tree() {
    local group=$1 packages
    packages=$(packages_of "$group")
    if [[ ! -r $out/packages-$group.list || $(<"$out/packages-$group.list") != "$packages" ]]; then
        # shellcheck disable=SC2086
        unpack_packages "$out/packages-$group" $packages
        echo "$packages" >"$out/packages-$group.list"
    fi
}

up_to_date() {
    [[ -r $1 ]] || return 1
    [[ -z $(find "$here/device-images.sh" "$programs" "$here/jobs/$2" "$RYOKAN_KERNEL" \
        "$root"/eng/{initramfs,{initramfs,busybox-tree,guest-modules}.sh} "$busybox" -newer "$1" -print -quit) ]]
}

# The drivers for QEMU's devices, in the order in which they are loaded.
add_virtio() {
    local modules module
    modules=$(readlink -f "$RYOKAN_KERNEL")
    modules=${modules%/boot/*}/lib/modules
    for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover \
        virtio_net virtio_blk; do
        install -m 644 "$(find "$modules" -name "$module.ko" -print -quit)" "$1/lib/modules"
        echo "$module"
    done >"$1/lib/modules/virtio.order"
}

make_image() {
    local group=$1 tree
    say "building the guest '$group' of the benchmark"
    packages_tree "$group"
    tree=$(mktemp -d "$out/tree.XXXXXX")
    cp -a "$out/packages-$group/." "$tree"
    rm -rf "${tree:?}"/usr/share/{doc,man,locale,lintian,bug,perl5,info} "$tree/var" \
        "$tree/usr/lib/x86_64-linux-gnu"/{gconv,perl-base} "$tree/usr/lib/postgresql/15/lib/bitcode"
    mkdir -p "$tree"/{jobs,bench,bin,tmp,proc,sys,dev,run,var/log/nginx,var/lib/nginx}
    install -m 755 "$programs"/* "$tree/bench"
    install -m 755 "$here/jobs/$group" "$tree/jobs"
    "$root/eng/guest-modules.sh" "$tree"
    add_virtio "$tree"
    "$root/eng/busybox-tree.sh" "$busybox" "$tree"
    # PostgreSQL does not run as root.
    echo 'server:x:1000:1000::/tmp:/bin/sh' >>"$tree/etc/passwd"
    echo 'server:x:1000:' >>"$tree/etc/group"
    "$root/eng/initramfs.sh" "$tree" "$out/$group.cpio"
    rm -rf "${out:?}/$group"
    mv "$tree" "$out/$group"
}

# A first start makes keys and caches and lasts longer than all later ones; it is done here.
start_once() {
    local image=$1 name=bench-first-start-$$ config=$work/first.cfg log=$work/first.log
    cat >"$config" <<CONFIG
name = "$name"
memory = 512
kernel = "$out/debian-12.vmlinuz"
ramdisk = "$out/debian-12.initrd"
disk = ["$image,qcow2,xvda,rw"]
extra = "root=/dev/xvda1 console=hvc0"
CONFIG
    "$root/artifacts/bin/xm" create "$config" >"$log" 2>&1 || fail "the image does not start: $(<"$log")"
    timeout 180 "$root/artifacts/bin/xm" console "$name" </dev/null 2>&1 \
        | sed '/Reached target.*[Mm]ulti-[Uu]ser/q' >>"$log" || true
    sleep 5
    timeout 120 "$root/artifacts/bin/xm" shutdown -w "$name" >>"$log" 2>&1 \
        || fail "the first start did not end: $(tail "$log")"
}

make_debian() {
    local name=bench-debian-12 image
    [[ ! -r $out/debian-12.qcow2 ]] || return 0
    "$root/eng/publish.sh"
    "$root/artifacts/bin/xm" image rm "$name" 2>/dev/null || true
    image=$("$root/artifacts/bin/xm" image build "$name" --size 4G | sed -n 's/.*disk = \["\([^,]*\),.*/\1/p')
    work=$(mktemp -d "$out/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mv "$image" "$work/root.qcow2"
    qemu-img convert -O raw "$work/root.qcow2" "$work/root.img"
    take_boot_file vmlinuz
    take_boot_file initrd
    start_once "$work/root.qcow2"
    mv "$work/root.qcow2" "$out/debian-12.qcow2"
}

# Out of the one partition, which begins at 1 MiB.
take_boot_file() {
    local name
    name=$(/sbin/debugfs -R 'ls -p /boot' "$work/root.img?offset=1048576" 2>/dev/null \
        | awk -F/ -v n="$1" 'index($6, n) == 1 && $6 ~ /-[0-9]/ { print $6; exit }')
    [[ -n $name ]] || fail "the image has no /boot/$1-*"
    /sbin/debugfs -R "dump /boot/$name $out/debian-12.$1" "$work/root.img?offset=1048576" 2>/dev/null
    [[ -s $out/debian-12.$1 ]] || fail "/boot/$name cannot be taken out of the image"
}

mkdir -p "$out"
[[ $# -gt 0 ]] || set -- disk network services debian-boot
for group in "$@"; do
    case $group in
    disk | network | services) up_to_date "$out/$group.cpio" "$group" || make_image "$group" ;;
    debian-boot) make_debian ;;
    *) fail "there is no group '$group'" ;;
    esac
done
