#!/usr/bin/env bash
# Builds the benchmark programs and the two guests that run them, under $RYOKAN_CACHE/bench:
#   small.cpio   busybox, the CPU-bound programs and the kernel rows (static, the same files as on the host)
#   real.cpio    Debian's own programs with their libraries
#   small/ real/ the trees they were made from; the host runs the programs out of these
# Quick when nothing has changed.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
# shellcheck source=eng/cache.sh
. "$root/eng/cache.sh"

out=$RYOKAN_CACHE/bench
busybox=$RYOKAN_CACHE/busybox/bin/busybox
programs=$here/programs
multiarch=x86_64-linux-gnu
real_packages=(
    libc6 zlib1g libgcc-s1
    gzip xz-utils liblzma5
    python3.11-minimal libpython3.11-minimal libexpat1
    sqlite3 libsqlite3-0 libreadline8 libtinfo6
    cpp-12 libgmp10 libisl23 libmpc3 libmpfr6 libzstd1
    libssl3
)

compile() {
    gcc -O2 -Wall -Wextra "$@"
}

# What the images depend on; they are made again when any of it is newer.
up_to_date() {
    [[ -r $out/small.cpio && -r $out/real.cpio ]] || return 1
    [[ -z $(find "$here/images.sh" "$programs" "$here/jobs" "$root"/eng/{initramfs,busybox-tree.sh,initramfs.sh} \
        "$busybox" -newer "$out/real.cpio" -print -quit) ]]
}

make_small() {
    local tree=$1
    mkdir -p "$tree/bench" "$tree/jobs"
    compile -mavx2 -c "$programs/cpu/avx2.c" -o "$work/avx2.o"
    compile -static -o "$tree/bench/cpu" "$programs"/cpu/{main,integer,floating,memory}.c "$work/avx2.o" -lm
    compile -static -o "$tree/bench/kernel" "$programs/kernel/kernel.c"
    strip "$tree/bench/cpu" "$tree/bench/kernel"
    install -m 755 "$here"/jobs/{cpu,kernel,scale} "$tree/jobs"
    "$root/eng/busybox-tree.sh" "$busybox" "$tree"
}

# mix TEXT_BYTES CODE_BYTES: data for the compressors, text and machine code as archives have them.
mix() {
    head -c "$1" "$work/real/bench/data/medium.i"
    head -c "$2" "$work/real/usr/lib/$multiarch/libcrypto.so.3"
}

make_real() {
    local tree=$1 data=$1/bench/data
    if [[ ! -d $out/packages ]]; then
        unpack_packages "$out/packages" "${real_packages[@]}"
    fi
    if [[ ! -d $out/headers ]]; then
        unpack_packages "$out/headers" libssl-dev
    fi
    cp -a "$out/packages" "$tree"
    rm -rf "${tree:?}"/{usr/share,var} "$tree/usr/lib/$multiarch/gconv"
    mkdir -p "$data" "$tree/jobs"
    compile -static -o "$tree/bench/row" "$programs/real/row.c"
    compile -o "$tree/bench/crypto" "$programs/real/crypto.c" \
        -I "$out/headers/usr/include" -I "$out/headers/usr/include/$multiarch" \
        "$tree/usr/lib/$multiarch/libcrypto.so.3"
    install -m 755 "$programs/real/run.sh" "$tree/bench/real.sh"
    install -m 755 "$here/jobs/real" "$tree/jobs"
    install -m 644 "$programs"/real/{loop.py,work.sql} "$data"
    gcc -E -O2 -mavx2 "$programs/real/medium.c" -o "$data/medium.i"
    mix 2000000 4000000 >"$data/mixed-large"
    mix 1200000 1500000 >"$data/mixed-small"
    gzip -n -6 -c "$data/mixed-large" >"$data/mixed-large.gz"
    "$tree/lib64/ld-linux-x86-64.so.2" --library-path "$tree/lib/$multiarch" "$tree/usr/bin/xz" -3 -c "$data/mixed-large" >"$data/mixed-large.xz"
    "$root/eng/busybox-tree.sh" "$busybox" "$tree"
}

mkdir -p "$out"
up_to_date && exit 0
say "building the benchmark guests"
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
make_small "$work/small"
make_real "$work/real"
rm -rf "$out/small" "$out/real"
mv "$work/small" "$work/real" "$out"
"$root/eng/initramfs.sh" "$out/small" "$out/small.cpio"
"$root/eng/initramfs.sh" "$out/real" "$out/real.cpio"
