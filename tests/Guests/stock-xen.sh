#!/usr/bin/env bash
# Records what the guests' kernel says on Debian's own Xen: tests/Guests/stock-xen.sh amd|intel VCPUS >LOG
#
# QEMU translates a machine that boots Debian's Xen, Debian's kernel as domain 0 and, by xl, the very guest that the
# test boots under Ryokan (KernelLogTests): same kernel, same initramfs, same command line. Standard output gets the
# kernel's log, "<LEVEL> TEXT" a line, without the times. Needs eng/setup.sh, images.sh and qemu-system-x86; neither
# root nor /dev/kvm. Takes a minute or two. All logs again:
#   for cpu in amd intel; do for n in 1 2; do tests/Guests/stock-xen.sh $cpu $n >tests/Guests/kernel-log/$cpu-$n.log; done; done
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
# shellcheck source=eng/cache.sh
. "$root/eng/cache.sh"

[[ $# -eq 2 && $1 =~ ^(amd|intel)$ && $2 =~ ^[1-9][0-9]*$ ]] || { echo "usage: ${0##*/} amd|intel VCPUS >LOG" >&2; exit 2; }
vendor=$1
vcpus=$2
# With QEMU's SMAP Xen crashes domain 0 at its first exception; in QEMU's MWAIT it gets a fault itself.
case $vendor in
amd) cpu=EPYC,-smap,-smep,-monitor ;;
intel) cpu=Haswell,-smap,-smep,-monitor ;;
esac
# What GuestRun.Job gives the guest.
guest_words="quiet mode=job job=log wanted_hypervisor=xen"
xen=$RYOKAN_CACHE/stock-xen
limit_seconds=900
packages=(
    xen-hypervisor-4.17-amd64 xen-utils-4.17 libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1
    libc6 libgcc-s1 libext2fs2 libcom-err2 liblzma5 libnl-3-200 libnl-route-3-200 libtinfo6 libuuid1 libyajl2 libzstd1 zlib1g
)

fetch() {
    [[ -r $xen/version ]] && return 0
    local kernel work
    unpack_packages "$xen" "${packages[@]}"
    kernel=$(dependency_of linux-image-amd64 linux-image-)
    work=$(mktemp -d "$RYOKAN_CACHE/unpack.XXXXXX")
    download_packages "$work" "$kernel"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$xen" --wildcards './boot/vmlinuz-*' '*/drivers/xen/*'
    rm -rf "$work"
    gzip -dc "$xen"/boot/xen-4.17-amd64.gz >"$xen/boot/xen"
    gzip -dc "$xen"/usr/share/doc/xen-hypervisor-4.17-amd64/changelog.Debian.gz \
        | sed -n '1s/.*(\(.*\)).*/\1/p' >"$xen/version"
}

# The root of domain 0: the toolstack, busybox, the guest's files.
make_domain0() {
    local tree=$1 module
    mkdir -p "$tree"/{guest,lib/modules,var/lib/xen,var/lib/xenstored,var/log/xen/console,run/{xen,xenstored},etc/xen}
    : >"$tree/etc/xen/xl.conf"
    ln -s ../run "$tree/var/run"
    cp -a "$xen"/{lib,lib64,usr} "$tree"
    rm -rf "$tree"/usr/{share,include} "$tree"/lib/modules/* "$tree"/usr/lib/xen-4.17/boot \
        "$tree"/usr/lib/x86_64-linux-gnu/{gconv,perl*}
    for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs; do
        find "$xen/lib/modules" -name "$module.ko" -exec install -m 644 {} "$tree/lib/modules" \;
    done
    "$root/eng/busybox-tree.sh" "$RYOKAN_CACHE/busybox/bin/busybox" "$tree"
    install -m 644 "$RYOKAN_KERNEL" "$tree/guest/vmlinuz"
    install -m 644 "$RYOKAN_CACHE/guests/basic.cpio" "$tree/guest/initramfs"
    cat >"$tree/guest/guest.cfg" <<CONFIG
name = "guest"
type = "pv"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initramfs"
extra = "console=hvc0 $guest_words"
memory = 256
vcpus = $vcpus
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
CONFIG
    cat >"$tree/init" <<'INIT'
#!/bin/sh
# Domain 0: starts the toolstack and one guest, hands over its console through the second serial port, powers off.
export PATH=/usr/lib/xen-4.17/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts
mount -t devpts devpts /dev/pts
for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs; do insmod "/lib/modules/$module.ko"; done
mount -t xenfs xenfs /proc/xen
ip link set lo up
xenstored --pid-file /run/xenstored.pid || poweroff -f
xen-init-dom0
xenconsoled --log=guest --pid-file=/run/xenconsoled.pid
sleep 1
echo "domain 0: creating the guest"
xl create /guest/guest.cfg
while xl domid guest >/dev/null 2>&1; do sleep 1; done
stty -F /dev/ttyS1 raw
cat /var/log/xen/console/guest-guest.log >/dev/ttyS1
sync
echo "domain 0: done"
poweroff -f
INIT
    chmod 755 "$tree/init"
}

fetch
work=$(mktemp -d "$RYOKAN_CACHE/stock-xen-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
make_domain0 "$work/tree"
"$root/eng/initramfs.sh" "$work/tree" "$work/domain0.cpio"
kernel=$(find "$xen/boot" -name 'vmlinuz-*')
say "booting Xen $(<"$xen/version")"
timeout -s KILL "$limit_seconds" qemu-system-x86_64 -accel tcg,thread=multi \
    -cpu "$cpu" -m 3072 -smp 2 -display none -nic none -no-reboot \
    -kernel "$xen/boot/xen" \
    -append "console=com1 com1=115200,8n1 dom0_mem=1536M loglvl=all guest_loglvl=all" \
    -initrd "$kernel console=hvc0 loglevel=8,$work/domain0.cpio" \
    -chardev "file,id=host,path=$work/host.log" -serial chardev:host \
    -chardev "file,id=guest,path=$work/guest.log" -serial chardev:guest </dev/null >&2 \
    || { tail -n 40 "$work/host.log" >&2; fail "QEMU did not end well"; }
if [[ ! -s $work/guest.log ]]; then
    cat "$work/host.log" >&2
    fail "the guest said nothing; what Xen and domain 0 said is above"
fi
grep -q '^job log ended with status 0' "$work/guest.log" || { cat "$work/guest.log" >&2; fail "the guest did not end well"; }
qemu=$(qemu-system-x86_64 --version | sed -n 1p)
printf '# What Linux says as a PV guest of Xen; recorded by tests/Guests/stock-xen.sh %s %s with\n' "$vendor" "$vcpus"
printf '# Debian xen %s, QEMU %s, -cpu %s\n' "$(<"$xen/version")" "${qemu#QEMU emulator version }" "$cpu"
# The job shows the whole log; what comes on the console after it are emergencies.
tr -d '\r' <"$work/guest.log" | sed -n -E \
    -e 's/^LOG (<[0-9]+>)\[ *[0-9.]+\] /\1 /p' \
    -e '/^job log ended/,$s/^\[ *[0-9]+\.[0-9]+\] /<0> /p'
