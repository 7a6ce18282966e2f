#!/bin/sh
# Model files as users have them, good and bad, on the command line: tests/cli_files.sh BUILD, from the top of the
# repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

program=$1/mini-cllm
model=models/demo.gguf
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
said=$temporary/said out=$temporary/out err=$temporary/err
. tests/support/checks.sh
[ -e "$model" ] || skip_all "$model is missing"

# run ARGUMENTS: the program, with what it prints in $out and $err, and its exit status in $status
run() {
    "$program" "$@" >"$out" 2>"$err" </dev/null
    status=$?
}
says() { grep -qF -- "$1" "$err"; }
prints() { grep -qF -- "$1" "$out"; }
one_line() { [ "$(wc -l <"$err")" -eq 1 ]; }
refused() { [ "$status" -eq 1 ] && one_line && says "mini-cllm: $1" && [ ! -s "$out" ] || { cat "$err"; false; }; }

# ------------------------------------------------------------------------------ file systems that cannot map

# preloaded COMMAND...: what `run` runs is on such a file system
preloaded() {
    LD_PRELOAD=$temporary/no_mmap.so ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" "$@"
}

without_mapping() {
    for command in "$model -t 0 -n 8 -p One" "inspect $model" "tokenize $model -p One" "detokenize $model 403" \
        "eval $model --tokens 1,2,3" "bench $model -p 4 -n 2 -r 1 --threads 1 --csv"; do
        # shellcheck disable=SC2086 # words
        run $command
        cp "$out" "$temporary/mapped"
        # shellcheck disable=SC2086
        preloaded run $command
        case $command in bench*) wc -l <"$out" >"$out.n" && wc -l <"$temporary/mapped" >"$temporary/mapped.n" ;; esac
        case $command in
        bench*) same=$(cmp "$out.n" "$temporary/mapped.n" 2>&1) ;;
        inspect*) same=$(diff "$out" "$temporary/mapped" | grep '^[<>]' | grep -v 'memory: context') ;; # what is available
        *) same=$(cmp "$out" "$temporary/mapped" 2>&1) ;;
        esac
        check "a file that cannot be mapped is read, with a note: ${command%% *}" eval '[ "$status" -eq 0 ] && [ -z "$same" ] &&
            says "$model: the system cannot map this file (No such device), so it was read into memory"'
    done
    preloaded run "$model" -n 1 -q
    check '-q: without the note' [ ! -s "$err" ]
    preloaded run "$model" -n 1 -v
    check '-v: it was read' says ' read in '
    NO_MMAP=shared preloaded run "$model" -n 1 -v
    check 'a file that can only be mapped privately is mapped' eval 'says " mapped in " && ! says "cannot map"'
    preloaded run "$model" -n 1 --repack
    check '--repack needs a file that can be mapped' refused "$model: a model that is repacked has to be mapped"
}

if [ "$(uname -s)" = Linux ] &&
    ${CC:-cc} -shared -fPIC -O1 tests/preload/no_mmap.c -o "$temporary/no_mmap.so" 2>"$said"; then
    without_mapping
else
    skip 'files that cannot be mapped' 'no library can be preloaded here'
fi

echo "1..$n"
