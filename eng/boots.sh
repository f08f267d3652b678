#!/usr/bin/env bash
# Boots the small guest N times in a row, each to user space and a clean power-off: eng/boots.sh N [VCPUS]
# Stops at the first that fails and shows its console.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

count=${1:-200}
vcpus=${2:-1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
started=$SECONDS
for ((i = 1; i <= count; i++)); do
    status=0
    "$here/guest.sh" --vcpus "$vcpus" --limit 60 mode=off >"$log" 2>&1 || status=$?
    if ((status != 0)) || ! grep -q 'user space is up' "$log"; then
        cat "$log"
        echo "FAIL boot $i of $count: exit status $status"
        exit 1
    fi
done
echo "PASS $count boots with $vcpus vCPUs in $((SECONDS - started)) s"
