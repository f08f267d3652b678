#!/usr/bin/env bash
# Runs xm from the checkout: builds the native programs when a source file is newer than they are.
root=$(dirname "$(readlink -f "$0")")
"$root/eng/publish.sh" || exit
exec "$root/artifacts/bin/xm" "$@"
