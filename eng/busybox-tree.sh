#!/usr/bin/env bash
# Lays out the root of a busybox guest: eng/busybox-tree.sh BUSYBOX TREE
# TREE may hold the files of Debian packages already; busybox then serves only the commands that they lack. The
# applets are symbolic links made here, so that the guest spends no time on making them.
set -euo pipefail

[[ $# -eq 2 && -x $1 ]] || { echo "usage: ${0##*/} BUSYBOX TREE" >&2; exit 2; }
busybox=$1
tree=$2
here=$(dirname "$(readlink -f "$0")")
umask 022
mkdir -p "$tree"/{bin,dev,etc,proc,root,run,sys,tmp}
chmod 755 "$tree"
chmod 1777 "$tree/tmp"
[[ -e $tree/sbin ]] || ln -s bin "$tree/sbin"
install -m 755 "$busybox" "$tree/bin/busybox"
while read -r applet; do
    for folder in bin sbin usr/bin usr/sbin; do
        if [[ -e $tree/$folder/$applet || -L $tree/$folder/$applet ]]; then continue 2; fi
    done
    ln -s busybox "$tree/bin/$applet"
done < <("$busybox" --list)
# The kernel looks for these there (kernel/reboot.c), also when packages brought a /sbin of their own.
for applet in poweroff reboot; do
    [[ -e $tree/sbin/$applet || -L $tree/sbin/$applet ]] || ln -s ../bin/busybox "$tree/sbin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
install -m 755 "$here/initramfs/init" "$tree/init"
