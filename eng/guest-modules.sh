#!/usr/bin/env bash
# Puts the front-end drivers that the stock kernel has as modules into the root of a small guest, for its init to
# load when there is such a device: eng/guest-modules.sh TREE
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=eng/cache.sh
. "$here/cache.sh"

[[ $# -eq 1 && -d $1 ]] || { echo "usage: ${0##*/} TREE" >&2; exit 2; }
kernel=$(readlink -f "$RYOKAN_KERNEL")
modules=${kernel%/boot/*}/lib/modules
mkdir -p "$1/lib/modules"
for module in xen-blkfront xen-netfront; do
    found=$(find "$modules" -name "$module.ko" -print -quit)
    [[ -n $found ]] || fail "the kernel $kernel has no module $module.ko below $modules"
    install -m 644 "$found" "$1/lib/modules/$module.ko"
done
