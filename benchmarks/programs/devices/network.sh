#!/bin/sh
# network.sh ROOT ADDRESS: iperf3 both ways and 1000 pings with the host's side of the bridge. ROOT as in fio.sh.
set -u
root=$1 address=$2
iperf=$root/usr/bin/iperf3 ping=ping
if [ -n "$root" ]; then
    libraries=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
    iperf="$root/lib64/ld-linux-x86-64.so.2 --library-path $libraries $iperf"
    ping="$root/bin/busybox ping"
fi

# row NAME ARGUMENT...: what arrived, in bits a second.
row() {
    name=$1
    shift
    # shellcheck disable=SC2086
    $iperf -f k -t 4 "$@" -c "$address" | awk -v name="$name" '/receiver/ { print "RATE", name, $7 * 1000 }'
}

$ping -c 3 "$address" >/dev/null
row sends
row receives -R
$ping -c 1000 -i 0.001 "$address" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n \
    | awk '{ trip[NR] = $1 } END { print "TIME ping", trip[int((NR + 1) / 2)] / 1000 }'
