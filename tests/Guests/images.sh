#!/usr/bin/env bash
# Makes the guests of the whole-guest tests, all or those that are named, under $RYOKAN_CACHE/guests: one initramfs for each folder of jobs/,
# with the Debian packages named below, busybox, our own small programs and the jobs of that folder.
# Quick when nothing has changed.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
# shellcheck source=eng/cache.sh
. "$root/eng/cache.sh"

out=$RYOKAN_CACHE/guests
busybox=$RYOKAN_CACHE/busybox/bin/busybox

packages_of() {
    case $1 in
    basic | screen) ;;
    network) echo libc6 iperf3 libiperf0 libsctp1 libssl3 ;;
    disk)
        echo libc6 e2fsprogs libblkid1 libcom-err2 libext2fs2 libss2 libuuid1 \
            sqlite3 libsqlite3-0 libreadline8 libtinfo6 zlib1g ;;
    programs)
        echo libc6 openssl libssl3 xz-utils liblzma5 zlib1g gzip bzip2 libbz2-1.0 libgcc-s1 libstdc++6 \
            gcc-12 cpp-12 libgcc-12-dev libc6-dev linux-libc-dev libgmp10 libisl23 libmpc3 libmpfr6 libzstd1 \
            binutils binutils-x86-64-linux-gnu libbinutils libctf0 libctf-nobfd0 libgprofng0 libjansson4 libcc1-0 ;;
    python)
        echo libc6 libgcc-s1 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3.11-testsuite \
            libexpat1 zlib1g libbz2-1.0 liblzma5 libffi8 libsqlite3-0 libssl3 libuuid1 libcrypt1 libdb5.3 \
            libncursesw6 libtinfo6 libreadline8 libnsl2 libtirpc3 ;;
    stress)
        echo libc6 stress-ng libapparmor1 libbsd0 libmd0 libcrypt1 libegl1 libglvnd0 libgbm1 libdrm2 libgles2 \
            libexpat1 libwayland-server0 libffi8 libxcb-randr0 libxcb1 libxau6 libxdmcp6 libipsec-mb1 \
            libjpeg62-turbo libjudydebian1 libkmod2 libzstd1 liblzma5 libssl3 libsctp1 libxxhash0 zlib1g libgcc-s1 ;;
    esac
}

# The packages' files are kept apart from the trees, so that a change of a job fetches nothing.
packages_tree() {
    local flavour=$1 packages
    packages=$(packages_of "$flavour")
    if [[ ! -r $out/packages/$flavour.list || $(<"$out/packages/$flavour.list") != "$packages" ]]; then
        # shellcheck disable=SC2086
        unpack_packages "$out/packages/$flavour" $packages
        echo "$packages" >"$out/packages/$flavour.list"
    fi
}

up_to_date() {
    local image=$1 kernel=()
    [[ -r $image ]] || return 1
    [[ $2 != screen ]] || kernel=("$RYOKAN_CACHE/screen-kernel")
    [[ -z $(find "$here/images.sh" "$here/programs" "$here/jobs/$2" \
        "$root"/eng/{initramfs,{initramfs,busybox-tree,guest-modules}.sh} "$busybox" "${kernel[@]}" -newer "$image" -print -quit) ]]
}

compile_programs() {
    local tree=$1 source
    for source in "$here"/programs/*.c; do
        gcc -O2 -Wall -Wextra -static -o "$tree/bin/$(basename "$source" .c)" "$source"
    done
}

# Files whose contents the host vouches for: the guest compares.
add_data() {
    local tree=$1
    mkdir -p "$tree/data"
    head -c 3000000 "$tree/usr/lib/x86_64-linux-gnu/libcrypto.so.3" >"$tree/data/plain"
    (cd "$tree/data" && xz -k -3 plain && gzip -k -n plain && sha256sum plain plain.xz plain.gz >SHA256SUMS)
}

add_i386() {
    local tree=$1
    [[ -x $out/packages/i386/bin/busybox ]] \
        || unpack_foreign_packages i386 "$out/packages/i386" busybox-static
    install -m 755 "$out/packages/i386/bin/busybox" "$tree/bin/busybox32"
}

make_image() {
    local flavour=$1 tree
    say "building the guest '$flavour'"
    tree=$(mktemp -d "$out/tree.XXXXXX")
    if [[ -n $(packages_of "$flavour") ]]; then
        packages_tree "$flavour"
        cp -a "$out/packages/$flavour/." "$tree"
        rm -rf "${tree:?}"/{usr/share,var} "$tree/usr/lib/x86_64-linux-gnu/gconv"
    fi
    mkdir -p "$tree/jobs" "$tree/bin"
    compile_programs "$tree"
    install -m 755 "$here/jobs/$flavour"/* "$tree/jobs"
    install -m 644 "$here/jobs/check.sh" "$tree/jobs"
    case $flavour in
    basic) add_i386 "$tree" ;;
    screen) install -D -m 644 "$RYOKAN_CACHE/screen-kernel/evdev.ko" "$tree/lib/modules/evdev.ko" ;;
    programs)
        # What the compiler job does not use: link-time optimization and the sanitizers.
        rm -f "$tree"/usr/lib/gcc/x86_64-linux-gnu/12/{lto1,lto-wrapper,lib?san*,libhwasan*}
        add_data "$tree"
        ;;
    esac
    "$root/eng/guest-modules.sh" "$tree"
    "$root/eng/busybox-tree.sh" "$busybox" "$tree"
    "$root/eng/initramfs.sh" "$tree" "$out/$flavour.cpio"
    rm -rf "$tree"
}

mkdir -p "$out/packages"
# Two checkouts share the cache.
exec 9>"$out/lock"
flock 9
[[ $# -gt 0 ]] || set -- basic disk network programs python screen stress
for flavour in "$@"; do
    up_to_date "$out/$flavour.cpio" "$flavour" || make_image "$flavour"
done
