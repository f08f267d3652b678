#!/bin/sh
# fio.sh ROOT FILE DIRECT: the disk rows on a file or block device of 1 GiB, each for two seconds. ROOT is empty in a
# guest, whose root is the tree; on the host it is the folder of the same tree, and fio starts through its own loader.
set -u
root=$1 file=$2 direct=$3
fio=$root/usr/bin/fio
if [ -n "$root" ]; then
    libraries=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/ceph
    fio="$root/lib64/ld-linux-x86-64.so.2 --library-path $libraries $fio"
fi

# row NAME KIND BLOCK DEPTH: terse output has KiB/s of reads in field 7, of writes in field 48.
row() {
    # shellcheck disable=SC2086
    $fio --name=row --thread --filename="$file" --size=1G --ioengine=libaio --direct="$direct" --invalidate=0 --rw="$2" --bs="$3" \
        --iodepth="$4" --time_based --runtime=2 --ramp_time=0.5 --minimal 2>&1 \
        | awk -F';' -v name="$1" '$1 == 3 { print "RATE", name, ($7 + $48) * 1024 } $1 != 3 { print "fio: " $0 }'
}

row read-1M read 1M 4
row write-1M write 1M 4
row random-read-64K randread 64k 16
row random-write-64K randwrite 64k 16
row random-read-4K randread 4k 16
row random-write-4K randwrite 4k 16
