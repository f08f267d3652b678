#!/usr/bin/env bash
# Lays out the root of a busybox guest: eng/busybox-tree.sh BUSYBOX TREE
# The applets are symbolic links made here, so that the guest spends no time on making them.
set -euo pipefail

[[ $# -eq 2 && -x $1 ]] || { echo "usage: ${0##*/} BUSYBOX TREE" >&2; exit 2; }
busybox=$1
tree=$2
umask 022
mkdir -p "$tree"/{bin,dev,etc,proc,root,run,sys,tmp}
chmod 755 "$tree"
chmod 1777 "$tree/tmp"
ln -sfn bin "$tree/sbin"
install -m 755 "$busybox" "$tree/bin/busybox"
while read -r applet; do
    [[ $applet == busybox ]] || ln -sfn busybox "$tree/bin/$applet"
done < <("$busybox" --list)
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
