#!/usr/bin/env bash
# Boots one guest to its end, console on standard output:
#   eng/guest.sh [--system ryokan|qemu] [--ramdisk FILE] [--memory MIB] [--vcpus N] [--limit SECONDS] WORD...
# The WORDs go to the kernel command line ("mode=tour", "mode=job job=NAME", see eng/initramfs/init). The exit status
# is that of `xm create -c`: 0 after a clean power-off. 124 means that the limit passed; the guest is gone then too.
# QEMU serves to tell a fault of a guest program from a fault of ours. Needs eng/setup.sh and eng/publish.sh first.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=eng/cache.sh
. "$here/cache.sh"

system=${RYOKAN_GUEST_SYSTEM:-ryokan}
ramdisk=$RYOKAN_INITRAMFS
memory=256
vcpus=1
limit=300
while [[ ${1:-} == --* ]]; do
    [[ $# -ge 2 ]] || fail "$1 needs a value"
    case $1 in
    --system) system=$2 ;;
    --ramdisk) ramdisk=$2 ;;
    --memory) memory=$2 ;;
    --vcpus) vcpus=$2 ;;
    --limit) limit=$2 ;;
    *) fail "unknown argument $1" ;;
    esac
    shift 2
done

run_qemu() {
    exec timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m "$memory" -smp "$vcpus" \
        -kernel "$RYOKAN_KERNEL" -initrd "$ramdisk" -append "console=ttyS0 $*" \
        -nographic -no-reboot -nic none </dev/null
}

run_ryokan() {
    local name=guest-$$ config status=0
    config=$(mktemp --suffix=.cfg)
    cat >"$config" <<CONFIG
name = "$name"
type = "pv"
kernel = "$RYOKAN_KERNEL"
ramdisk = "$ramdisk"
extra = "console=hvc0 $*"
memory = $memory
vcpus = $vcpus
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
CONFIG
    # The guest outlives the command that shows its console, so whoever ends this script early ends the guest too.
    # shellcheck disable=SC2317
    trap '"$here/../xm" destroy "$name" >/dev/null 2>&1 || true; rm -f "$config"; exit 143' TERM INT
    timeout "$limit" "$here/../xm" create -c "$config" </dev/null &
    wait $! || status=$?
    rm -f "$config"
    [[ $status -ne 124 ]] || "$here/../xm" destroy "$name" >&2 || true
    return "$status"
}

case $system in
qemu) run_qemu "$@" ;;
ryokan) run_ryokan "$@" ;;
*) fail "--system is ryokan or qemu, not $system" ;;
esac
