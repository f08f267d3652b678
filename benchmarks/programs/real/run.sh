#!/bin/sh
# run.sh ROOT: the real programs, each with fixed work. ROOT is empty in a guest, whose root is the tree; on the host
# it is the folder of the same tree, and the programs start through the tree's own loader and libraries.
set -u
root=${1:-}
data=$root/bench/data
busybox=$root/bin/busybox
row=$root/bench/row

export PYTHONHOME="$root/usr" PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 HOME=/ LC_ALL=C

start() {
    name=$1
    shift
    if [ -n "$root" ]; then
        program=$root$1
        shift
        "$row" "$name" "$root/lib64/ld-linux-x86-64.so.2" --library-path \
            "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$program" "$@"
    else
        "$row" "$name" "$@"
    fi
}

# The rows of a program that measures itself.
plain() {
    if [ -n "$root" ]; then
        program=$root$1
        shift
        "$root/lib64/ld-linux-x86-64.so.2" --library-path \
            "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$program" "$@"
    else
        "$@"
    fi
}

# shellcheck disable=SC2016
"$row" ash-loop "$busybox" ash -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo $i'
start gzip /bin/gzip -n -6 -c "$data/mixed-large"
start gunzip /bin/gzip -d -c "$data/mixed-large.gz"
start xz /usr/bin/xz -3 -c "$data/mixed-small"
start unxz /usr/bin/xz -d -c "$data/mixed-large.xz"
start python3 /usr/bin/python3.11 -I "$data/loop.py"
start sqlite3 /usr/bin/sqlite3 -batch -init "$data/work.sql" :memory: .quit
start cc1 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 -fpreprocessed -quiet -O2 -mavx2 "$data/medium.i" -o /dev/stdout
plain /bench/crypto
