#!/usr/bin/env bash
# Compares the network of a guest under Ryokan and under QEMU's translator: benchmarks/network.sh [ROUNDS]
#
# In each round (3 unless said otherwise) each system boots the same kernel with one vCPU on the same bridge, in a
# network namespace that this script makes and removes, and runs iperf3 both ways and 1000 pings against the host's
# side. Prints the median of the rounds, in Gbit/s, and of all round trips, in ms. For root. Needs ./demo or ./test first
# (eng/setup.sh --bench, eng/publish.sh, tests/Guests/images.sh network).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/..")
# shellcheck source=eng/cache.sh
. "$root/eng/cache.sh"

rounds=${1:-3}
seconds=4
[[ $EUID -eq 0 ]] || fail "needs root: it makes a network namespace with a bridge and tap devices"
[[ $rounds =~ ^[1-9][0-9]*$ ]] || fail "usage: ${0##*/} [ROUNDS]"
image=$RYOKAN_CACHE/guests/network.cpio
tools=$RYOKAN_CACHE/guests/packages/network
for file in "$image" "$RYOKAN_KERNEL" "$root/artifacts/bin/xm"; do
    [[ -r $file ]] || fail "$file is missing: run eng/setup.sh --bench, eng/publish.sh, tests/Guests/images.sh network"
done
command -v qemu-system-x86_64 >/dev/null || fail "no qemu-system-x86_64: eng/setup.sh --bench installs it"

space=ryokan-bench-$$
work=$(mktemp -d)
export RYOKAN_RUNTIME_DIR=$work/run RYOKAN_STATE_DIR=$work/state

clean_up() {
    [[ ! -r $work/run/ryokand.lock ]] || kill "$(<"$work/run/ryokand.lock")" 2>/dev/null || true
    [[ -z ${server:-} ]] || kill "$server" 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

make_network() {
    ip netns add "$space"
    ip -n "$space" link set lo up
    ip -n "$space" link add xenbr0 type bridge
    ip -n "$space" addr add 10.77.0.1/24 dev xenbr0
    ip -n "$space" link set xenbr0 up
    ip -n "$space" tuntap add qemu0 mode tap
    ip -n "$space" link set qemu0 master xenbr0
    ip -n "$space" link set qemu0 up
    # The guest's own iperf3, with its own libraries.
    ip netns exec "$space" "$tools/lib64/ld-linux-x86-64.so.2" \
        --library-path "$tools/lib/x86_64-linux-gnu:$tools/usr/lib/x86_64-linux-gnu" \
        "$tools/usr/bin/iperf3" -s >/dev/null 2>&1 &
    server=$!
}

# The tests' guest, with QEMU's drivers and this job behind it: the kernel unpacks one archive after the other.
make_image() {
    local modules module
    modules=$(readlink -f "$RYOKAN_KERNEL")
    modules=${modules%/boot/*}/lib/modules
    mkdir -p "$work/tree/lib/modules" "$work/tree/jobs"
    for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover \
        virtio_net; do
        cp "$(find "$modules" -name "$module.ko" -print -quit)" "$work/tree/lib/modules"
        echo "insmod /lib/modules/$module.ko 2>/dev/null" >>"$work/tree/jobs/network-bench"
    done
    cat >>"$work/tree/jobs/network-bench" <<JOB
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
ip link set lo up
ip link set eth0 up
ip addr add 10.77.0.2/24 dev eth0
ping -c 3 10.77.0.1 >/dev/null
echo "SENDS \$(iperf3 -f m -t $seconds -c 10.77.0.1 | awk '/receiver/ { print \$7 }')"
echo "RECEIVES \$(iperf3 -f m -t $seconds -R -c 10.77.0.1 | awk '/receiver/ { print \$7 }')"
ping -c 1000 -i 0.001 10.77.0.1 | sed -n 's/.*time=\([0-9.]*\) ms/TRIP \1/p'
JOB
    "$root/eng/initramfs.sh" "$work/tree" "$work/more.cpio"
    cat "$image" "$work/more.cpio" >"$work/guest.cpio"
}

run_qemu() {
    ip netns exec "$space" timeout 120 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 384 -smp 1 \
        -kernel "$RYOKAN_KERNEL" -initrd "$work/guest.cpio" -append "console=ttyS0 quiet mode=job job=network-bench" \
        -nographic -no-reboot -netdev tap,id=n,ifname=qemu0,script=no,downscript=no,vhost=off \
        -device virtio-net-pci,netdev=n </dev/null
}

run_ryokan() {
    cat >"$work/guest.cfg" <<CONFIG
name = "network-bench"
kernel = "$RYOKAN_KERNEL"
ramdisk = "$work/guest.cpio"
extra = "console=hvc0 quiet mode=job job=network-bench"
memory = 384
vif = ['bridge=xenbr0']
CONFIG
    ip netns exec "$space" timeout 120 "$root/artifacts/bin/xm" create -c -q "$work/guest.cfg" </dev/null
}

# median FILE WORD: of the numbers after WORD.
median() { tr -d '\r' <"$1" | awk -v w="$2" '$1 == w { print $2 }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

make_network
make_image
for ((round = 1; round <= rounds; round++)); do
    for system in ryokan qemu; do
        say "round $round of $rounds: $system"
        "run_$system" >>"$work/$system.out" 2>&1 || fail "$system failed: $(tail -n 5 "$work/$system.out")"
    done
done
printf '%-8s %14s %14s %14s\n' '' 'sends Gbit/s' 'receives' 'ping ms'
for system in ryokan qemu; do
    printf '%-8s %14.2f %14.2f %14.3f\n' "$system" "$(median "$work/$system.out" SENDS | awk '{ print $1 / 1000 }')" \
        "$(median "$work/$system.out" RECEIVES | awk '{ print $1 / 1000 }')" "$(median "$work/$system.out" TRIP)"
done
