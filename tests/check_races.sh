#!/bin/sh
# Races in the kernels that read embeddings, of every type: tests/check_races.sh BUILD. The other kernels are checked
# by the scripts beside this one, which together cover all types. Faults planted in a copy of the program show that
# Oclgrind finds them. Prints TAP.
set -u
. tests/support/races.sh

types=$(sed -n '/^#define GPU_TYPES/,/[^\\]$/s/.* X(\([A-Z0-9_]*\), [0-9].*/\1/p' src/gguf/quant_types.h)
every_table() {
    # shellcheck disable=SC2086 # a list of words
    [ "$types" ] && ran $(printf 'embed_%s ' $types)
}
every_type() {
    missing=0
    for type in $types; do
        grep -q "^check_kind .*[' ]$type[' ]" tests/check_races_*.sh || { echo "in no script: $type" && missing=1; }
    done
    for kernel in $(sed -n 's/^KERNEL(\([a-z_]*\),.*/\1/p' src/gpu/kernels.gpu); do
        case " $always " in *" $kernel "*) continue ;; esac
        grep -q "^check_kind .*[' ]$kernel[' ]" tests/check_races_*.sh || { echo "in no script: $kernel" && missing=1; }
    done
    return $missing
}

# The program contains the kernel text unchanged. In a copy of the program, each fault replaces text of the same length.
# Each fault is in another kernel, so that one run shows all of them.
spoil() { # TEXT FAULT, made as long by spaces
    FROM=$1 TO=$2 perl -0777 -pi -e 'BEGIN { $to = $ENV{TO} . " " x (length($ENV{FROM}) - length($ENV{TO})) }
        $planted = s/\Q$ENV{FROM}\E/$to/; END { $? = 1 if !$planted || length($to) != length($ENV{FROM}) }' "$work/spoiled" ||
        { echo "not planted: $2" && return 1; }
}
run_spoiled() {
    cp "$program" "$work/spoiled"
    # no barrier: before the sum of a group is read, between two uses of scores, and before a tile is multiplied
    spoil '    if (thread_id % TEAM == 0) s[thread_id / TEAM] = team;
    BARRIER();' '    if (thread_id % TEAM == 0) s[thread_id / TEAM] = team;' &&
        spoil 'odd[q] : MASKED;
        }
        BARRIER();' 'odd[q] : MASKED;
        }' &&
        spoil '        BARRIER();
        tile_multiply' '        tile_multiply' || return 1
    # no bounds check: for the rows of a matrix, which are read, and for the elements of a token, which are written
    spoil 'row = row < n_rows ? row : n_rows - 1;' '' && spoil 'if (32 * u < p.n) {' 'if (32*u <= p.n) {' || return 1
    # a barrier that not all threads reach
    spoil '    BARRIER();
    for (int k = GROUP / 2; k > 0; k /= 2) {' 'if (thread_id) BARRIER();for(int k=GROUP/2;k>0;k/=2){' || return 1
    watched "$work/spoiled" briefly || return 1
    # report and kernel on one line each
    awk '/^[A-Z]/ { report = $0 } /^\tKernel: / { print $2 ": " report }' "$work/log" | sort -u >"$work/reports"
    [ -s "$work/reports" ]
}
reported() { grep -q "^$1.*: .*$2" "$work/reports" || { head -n 20 "$work/reports" && return 1; }; } # KERNEL REPORT

echo 1..10
check 'no kernel has a race, or leaves its buffers: embeddings' runs_clean embeddings
check 'the embeddings of every type were read' every_table
check 'every type and every kernel is in one of the scripts' every_type
check 'a copy of the program with faults runs' run_spoiled
check 'a missing barrier is reported: the sum of a group' reported norm_rows 'data race'
check 'a missing barrier is reported: attention' reported attention 'data race'
check 'a missing barrier is reported: tiles' reported tile_ 'data race'
check 'reading past a buffer is reported' reported multiply_ 'Invalid read'
check 'writing past a buffer is reported' reported embed_ 'Invalid write'
check 'a barrier that not all threads come to is reported' reported argmax 'divergence'
