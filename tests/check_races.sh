#!/bin/sh
# No two threads of a kernel meet in memory unordered, and none leaves its buffers: tests/check_races.sh BUILD. Oclgrind, a
# simulator of an OpenCL device, runs every kernel on every tensor type (tests/run_kernels.c) and reports what it sees;
# anything fails. So does a run in which a kernel or a type is missing. Faults planted in a copy of the program show that
# it sees them. Prints TAP.
set -u
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

# By the OpenCL loader, which is told to know the simulator alone. (The command oclgrind puts itself in the loader's place,
# and breaks a program that loads the loader.) The log is there, empty, as soon as the simulator is.
watched() { # PROGRAM [ARGUMENT]: the kernels' names go to $work/names, reports to $work/log
    rm -f "$work/log"
    OCL_ICD_VENDORS=$simulator OCLGRIND_DATA_RACES=1 OCLGRIND_MAX_ERRORS=10000000 OCLGRIND_LOG=$work/log \
        "$@" >"$work/names" && [ -f "$work/log" ]
}

runs_clean() {
    watched "$program" || { echo 'Oclgrind did not run the kernels' && return 1; }
    head -n 40 "$work/log"
    ! [ -s "$work/log" ]
}

# Every kernel, and of those that read matrices every type.
ran_all() {
    missing=0
    for kernel in norm_rows norm_qk rope_qk attention attention_merge cap argmax copy; do
        grep -qx "$kernel" "$work/names" || { echo "not run: $kernel" && missing=1; }
    done
    for type in F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4; do
        for kernel in "embed_$type" "tile_$type" "multiply.*_${type}_.*x1" "multiply.*_${type}_.*x4"; do
            grep -qx "$kernel" "$work/names" || { echo "not run: $kernel" && missing=1; }
        done
    done
    return $missing
}

# The kernel text lies in the program as it is written: in a copy, faults take the place of as many bytes. Each is in
# another kernel, so that one run shows all.
spoil() { # TEXT FAULT, made as long by spaces
    FROM=$1 TO=$2 perl -0777 -pi -e 'BEGIN { $to = $ENV{TO} . " " x (length($ENV{FROM}) - length($ENV{TO})) }
        $planted = s/\Q$ENV{FROM}\E/$to/; END { $? = 1 if !$planted || length($to) != length($ENV{FROM}) }' "$work/spoiled" ||
        { echo "not planted: $2" && return 1; }
}
run_spoiled() {
    cp "$program" "$work/spoiled"
    # no barrier: before a group's sum is read, between two uses of scores, and before a tile is multiplied
    spoil '    if (thread_id % TEAM == 0) s[thread_id / TEAM] = team;
    BARRIER();' '    if (thread_id % TEAM == 0) s[thread_id / TEAM] = team;' &&
        spoil 'odd[q] : MASKED;
        }
        BARRIER();' 'odd[q] : MASKED;
        }' &&
        spoil '        BARRIER();
        tile_multiply' '        tile_multiply' || return 1
    # no bound: of the rows of a matrix, which are read, and of a token's elements, which are written
    spoil 'row = row < n_rows ? row : n_rows - 1;' '' && spoil 'if (32 * u < p.n) {' 'if (32*u <= p.n) {' || return 1
    # a barrier that not all threads come to
    spoil '    BARRIER();
    for (int k = GROUP / 2; k > 0; k /= 2) {' 'if (thread_id) BARRIER();for(int k=GROUP/2;k>0;k/=2){' || return 1
    watched "$work/spoiled" briefly || return 1
    # report and kernel on one line each
    awk '/^[A-Z]/ { report = $0 } /^\tKernel: / { print $2 ": " report }' "$work/log" | sort -u >"$work/reports"
    [ -s "$work/reports" ]
}
reported() { grep -q "^$1.*: .*$2" "$work/reports" || { head -n 20 "$work/reports" && return 1; }; } # KERNEL REPORT

echo 1..9
check 'no kernel has a race, or leaves its buffers' runs_clean
check 'every kernel was run, on every type' ran_all
check 'a copy of the program with faults runs' run_spoiled
check 'a missing barrier is reported: the sum of a group' reported norm_rows 'data race'
check 'a missing barrier is reported: attention' reported attention 'data race'
check 'a missing barrier is reported: tiles' reported tile_ 'data race'
check 'reading past a buffer is reported' reported multiply_ 'Invalid read'
check 'writing past a buffer is reported' reported embed_ 'Invalid write'
check 'a barrier that not all threads come to is reported' reported argmax 'divergence'
