# shellcheck shell=sh
# What the jobs share: each check prints one line that begins with PASS or FAIL; the harness counts them.
check_failures=0

pass() { echo "PASS $*"; }

fail() {
    echo "FAIL $*"
    check_failures=$((check_failures + 1))
}

# expect NAME WANTED GOT
expect() {
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1: wanted '$2', got '$3'"; fi
}

# succeeds NAME COMMAND...: the command's output is shown only when it fails.
succeeds() {
    name=$1
    shift
    if "$@" >/tmp/check-output 2>&1; then
        pass "$name"
    else
        fail "$name: '$*' ended with status $?"
        tail -n 40 /tmp/check-output
    fi
}

finish() { [ "$check_failures" -eq 0 ]; exit; }
