# Checks that no two threads of a kernel use the same memory without a barrier in between, and that none leaves its
# buffers. To be sourced by tests/check_races*.sh, each of which gets BUILD and checks one kind of tensor types, so
# that they can run at the same time. Oclgrind, a simulator of an OpenCL device, runs the kernels
# (tests/run_kernels.c) and reports errors. Any report fails, and so does a run in which a kernel or a type is
# missing.
. tests/support/checks.sh

program=$1/tests/run_kernels
[ -z "${SANITIZE:-}" ] || skip_all "another sanitizer is in use: $SANITIZE"
[ -x "$program" ] || skip_all "no $program: run make tests"
simulator=''
for found in /usr/lib/oclgrind/liboclgrind-rt-icd.so /usr/lib/*/oclgrind/liboclgrind-rt-icd.so \
    /usr/local/lib/oclgrind/liboclgrind-rt-icd.so; do
    [ -f "$found" ] && simulator=$found
done
[ -n "$simulator" ] || skip_all 'needs Oclgrind: install oclgrind'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
said=$work/said

# Runs a program with the OpenCL loader, and tells the loader to use only the simulator. (The command oclgrind replaces
# the loader instead. That breaks a program that loads the loader itself.) The log appears, empty, as soon as the
# simulator is loaded.
watched() { # PROGRAM [ARGUMENT]: the kernels' names go to $work/names, reports to $work/log
    rm -f "$work/log"
    OCL_ICD_VENDORS=$simulator OCLGRIND_DATA_RACES=1 OCLGRIND_MAX_ERRORS=10000000 OCLGRIND_LOG=$work/log \
        "$@" >"$work/names" && [ -f "$work/log" ]
}

runs_clean() { # KIND
    watched "$program" "$1" || { echo 'Oclgrind did not run the kernels' && return 1; }
    head -n 40 "$work/log"
    ! [ -s "$work/log" ]
}

ran() { # PATTERN...: names of kernels
    missing=0
    for kernel in "$@"; do
        grep -qx "$kernel" "$work/names" || { echo "not run: $kernel" && missing=1; }
    done
    return $missing
}

# Kernels that read matrices run on every type; the other kernels run on some types of this kind.
ran_all() { # "KERNEL..." "TYPE..."
    set -f # patterns are no file names
    set -- $1 $2 # lists of words
    for word; do
        case $word in
        [a-z]*) ran "$word" ;;
        *) ran "tile_$word" "multiply.*_${word}_.*x1" "multiply.*_${word}_.*x4" ;;
        esac || return 1
    done
}

always='norm_rows rope_qk attention attention_merge gather argmax copy'
check_kind() { # KIND "KERNEL..." "TYPE...": the whole of a script
    echo 1..2
    check "no kernel has a race, or leaves its buffers: $1" runs_clean "$1"
    check "every kernel was run: $1" ran_all "$always $2" "$3"
}
