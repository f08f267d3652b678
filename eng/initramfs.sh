#!/usr/bin/env bash
# Writes an initramfs: eng/initramfs.sh TREE OUTPUT[.gz]
#
# The archive is the "newc" cpio format that the kernel reads (Documentation/driver-api/early-userspace/
# buffer-format.rst in the Linux source), compressed when OUTPUT ends in .gz. It needs no root and no cpio program, holds the whole
# TREE owned by root plus the device nodes /dev/console and /dev/null, and depends on nothing but the names, modes
# and contents in TREE: the same tree gives the same bytes.
set -euo pipefail
export LC_ALL=C

[[ $# -eq 2 && -d $1 ]] || { echo "usage: ${0##*/} TREE OUTPUT[.gz]" >&2; exit 2; }
tree=$1
output=$2
inode=0

# Zeros up to a multiple of four. No processes here: a tree may have thousands of files.
pad() {
    case $(($1 % 4)) in
    1) printf '\0\0\0' ;;
    2) printf '\0\0' ;;
    3) printf '\0' ;;
    esac
}

# entry NAME MODE(number) LINKS SIZE RDEV_MAJOR RDEV_MINOR: the header; the caller writes SIZE bytes of data.
entry() {
    local name=$1
    inode=$((inode + 1))
    printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' \
        "$inode" "$2" 0 0 "$3" 0 "$4" 0 0 "$5" "$6" $((${#name} + 1)) 0 "$name"
    pad $((110 + ${#name} + 1))
}

archive() {
    local type mode size target name
    entry dev $((8#040755)) 2 0 0 0
    entry dev/console $((8#020600)) 1 0 5 1
    entry dev/null $((8#020666)) 1 0 1 3
    # The kernel makes nothing but what the archive names, so a directory has to come before what is in it;
    # sorting by name does that.
    while IFS= read -r -d '' type && IFS= read -r -d '' mode && IFS= read -r -d '' size \
        && IFS= read -r -d '' target && IFS= read -r -d '' name; do
        case $type in
        d)
            [[ $name == dev ]] || entry "$name" $((8#040000 | 8#$mode)) 2 0 0 0
            ;;
        f)
            entry "$name" $((8#100000 | 8#$mode)) 1 "$size" 0 0
            ((size == 0)) || cat "$tree/$name"
            pad "$size"
            ;;
        l)
            entry "$name" $((8#120777)) 1 ${#target} 0 0
            printf '%s' "$target"
            pad ${#target}
            ;;
        *)
            echo "${0##*/}: $tree/$name is neither a file, a directory nor a symbolic link" >&2
            return 1
            ;;
        esac
    done < <(cd "$tree" && find . -mindepth 1 -printf '%P\0' | sort -z \
        | xargs -0 -r -n 1000 sh -c 'find "$@" -maxdepth 0 -printf "%y\0%m\0%s\0%l\0%p\0"' find)
    inode=-1
    entry 'TRAILER!!!' 0 1 0 0 0
}

temporary=$(mktemp "$output.XXXXXX")
trap 'rm -f "$temporary"' EXIT
compress='cat'
[[ $output == *.gz ]] && compress='gzip -n -9'
archive | $compress >"$temporary"
chmod 644 "$temporary"
mv "$temporary" "$output"
trap - EXIT
