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

# preloaded COMMAND...: runs the command as if files were on such a file system
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
        # the amount of available memory changes
        inspect*) same=$(diff "$out" "$temporary/mapped" | grep '^[<>]' | grep -v 'memory: context') ;;
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
    NO_MMAP=memory preloaded run "$model" -n 1
    check 'a limit on memory is no fault of the file system' refused "$model: its "
    check 'so says the message' says "bytes do not fit in this process's address space"
    preloaded run "$model" -n 1 --repack
    check '--repack needs a file that can be mapped' refused "$model: repacking needs a mapped file"
    if command -v python3 >/dev/null; then
        adapter=$(cd "$temporary" && pwd -P)/adapter.gguf
        python3 tests/support/make_lora.py "$model" "$adapter"
        NO_MMAP_OF=$adapter preloaded run "$model" -n 1 -v --lora "$adapter"
        check 'an adapter that cannot be mapped is read, with a note' eval '[ "$status" -eq 0 ] && says " mapped in " &&
            says "$adapter: the system cannot map this file"'
    else
        skip 'an adapter that cannot be mapped is read, with a note' 'python3 is missing'
    fi
}

if [ "$(uname -s)" = Linux ] &&
    ${CC:-cc} -shared -fPIC -O1 tests/preload/no_mmap.c -o "$temporary/no_mmap.so" 2>"$said"; then
    without_mapping
else
    skip 'files that cannot be mapped' 'no library can be preloaded here'
fi

# ------------------------------------------------------------------------------- what a file says to a terminal

# A C1 control, a bidirectional override and isolate, a line separator, ESC, DEL, and a byte that is no UTF-8
hostile=$(printf '\302\233\342\200\256\342\201\246\342\200\250\033\177\233x')
escaped='\u009B\u202E\u2066\u2028\x1B\x7F\x9Bx'
spoken='\xC2[\x80-\x9F]|\xE2\x80[\xA8-\xAE]|\xE2\x81[\xA6-\xA9]|[\x00-\x08\x0B-\x1F\x7F]|(?<![\xC2-\xF4])(?<![\xE0-\xF4][\x80-\xBF])(?<![\xF0-\xF4][\x80-\xBF]{2})[\x80-\x9F]'

# Do these files contain nothing that could control a terminal?
harmless() { perl -0777 -ne 'BEGIN { $found = 0 } $found = 1 if /'"$spoken"'/; END { exit $found }' "$@"; }

# hostile_file OFFSET FILE: writes a GGUF file of one tensor. Its names and values have these characters, as far as
# names may have them.
hostile_file() {
    HOSTILE=$hostile perl -e '
        my $value = $ENV{HOSTILE};
        (my $name = $value) =~ s/[\x00-\x1f\x7f]//g;
        sub text { pack("Q<", length $_[0]) . $_[0] }
        my @strings = map { text($_->[0]) . pack("L<", 8) . text($_->[1]) } ["general.architecture", $value],
            ["general.name", $value], ["key.$name", $value], ["tokenizer.ggml.model", $value];
        my $array = text("array.$name") . pack("L<L<Q<", 9, 8, 1) . text($value);
        my $tensor = text("t.$name") . pack("L<Q<L<Q<", 1, 8, $ARGV[0], 0);
        my $head = "GGUF" . pack("L<Q<Q<", 3, 1, @strings + 1) . join("", @strings) . $array . $tensor;
        print $head, "\0" x (-length($head) % 32), "\0" x 32' "$1" >"$2"
}

speaking() {
    file=$temporary/hostile.gguf
    hostile_file 0 "$file"
    run inspect "$file" --tensors
    check 'inspect: values are escaped' eval '[ "$status" -eq 0 ] && prints "general.name" && prints "\"$escaped\""'
    check 'inspect: keys and names of tensors, too' eval 'prints "key.\u009B\u202E\u2066\u2028\x9Bx" && prints "t.\u009B\u202E\u2066\u2028\x9Bx"'
    check 'inspect: nothing speaks to the terminal' harmless "$out" "$err"
    run inspect "$file" --tensors --json
    check 'inspect --json: nothing does' eval '[ "$status" -eq 0 ] && harmless "$out" && prints "\u202E"'
    if command -v python3 >/dev/null; then
        check 'inspect --json: and it reads back' python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["metadata"]["general.name"].startswith("\u009b\u202e\u2066\u2028\x1b\x7f")' "$out"
    else
        skip 'inspect --json: and it reads back' 'python3 is missing'
    fi
    for command in "$file -n 1" "tokenize $file -p a" "eval $file --tokens 1"; do
        # shellcheck disable=SC2086 # words
        run $command
        check "${command##*/}: a message that quotes the file does not speak" eval '[ "$status" -eq 1 ] && one_line && harmless "$err"'
    done
    hostile_file 31 "$file"
    run inspect "$file"
    check 'a message about a tensor does not' eval '[ "$status" -eq 1 ] && one_line && harmless "$err" && says Q4_0_4_4'

    HOSTILE=$hostile perl -0777 -pe 'my $h = substr($ENV{HOSTILE} x 3, 0, 22); s/mini-cllm demo stories/$h/' "$model" >"$file"
    run "$file" -n 1 -t 0 -v --override "k$(printf '\302\233\342\200\256')=int:1"
    check '-v: the name of a model is escaped' eval '[ "$status" -eq 0 ] && says "model: llama, $escaped" &&
        says "override: k\\u009B\\u202E" && says "k\\u009B\\u202E has no effect"'
    check '-v and the notes: nothing speaks' harmless "$err"
    cp "$model" "$temporary/$hostile"
    run inspect "$temporary/$hostile"
    check 'inspect: nor does the name of a file' eval '[ "$status" -eq 0 ] && harmless "$out"'
    run "$temporary/$hostile" -n 1 -v
    check '-v: nor there' eval '[ "$status" -eq 0 ] && harmless "$err"'
    run bench "$temporary/$hostile" -p 2 -n 0 -r 1 --threads 1
    check 'bench: nor there' eval '[ "$status" -eq 0 ] && harmless "$out" "$err"'
    run "$temporary/no$hostile" -n 1
    check 'nor in a message about a file that is not there' eval '[ "$status" -eq 1 ] && one_line && harmless "$err"'
    run "$model" "--no$hostile"
    check 'nor an argument in a message' eval '[ "$status" -eq 2 ] && one_line && harmless "$err"'
    printf '%s' "$hostile" >"$temporary/prompt"
    run "$model" -f "$temporary/prompt" -n 0 --echo -q
    check 'a text stays as it is' eval 'printf "\302\233\342\200\256\342\201\246\342\200\250\033\177\357\277\275x\n" | cmp - "$out"'
}

# ------------------------------------------------------------------------------------- keys that nothing reads

unused() { sed -n 's/^  \([^ ]*\) .*  (.*not used)$/\1/p' "$out" | tr '\n' ' '; } # keys that are marked as not used

keys() {
    run inspect "$model"
    check "inspect marks the keys that nothing reads: $(unused)" [ "$status-$(unused)" = '0-llama.vocab_size ' ]
    check 'and says nothing more where all can be told' eval '! prints "cannot be told"'
    run inspect "$model" --override .rope.freq_bsae=float:2 --override tokenizer.ggml.pre=str:qwen2 \
        --override .rope.freq_base=float:2e4 --override general.frobnicate=str:x --override general.name=str:y
    check "an override that nothing reads is marked, what only describes the file is not: $(unused)" [ "$(unused)" = \
        'llama.vocab_size tokenizer.ggml.pre llama.rope.freq_bsae ' ]
    check 'and both marks are there' eval 'prints "(overridden, not used)" && grep -q "llama.rope.freq_base .*  (overridden)$" "$out"'
    run inspect "$model" --override .attention.causal_=bool:false --json
    check 'inspect --json lists them' eval 'tr -d " \n" <"$out" |
        grep -qF "\"not_used\":[\"llama.vocab_size\",\"llama.attention.causal_\"],\"not_judged\":[]"'

    run inspect "$model" --override general.architecture=str:frob --override frob.block_count=int:4
    check 'of an architecture that is not known nothing is marked' [ "$status-$(unused)" = 0- ]
    check 'and why is said' prints "cannot find out which of the model's keys are used: architecture 'frob' is not supported"
    run inspect "$model" --override tokenizer.ggml.model=str:frob
    check 'likewise of a tokenizer' eval '[ "$(unused)" = "llama.vocab_size " ] &&
        prints "cannot find out which of the tokenizer'"'"'s keys are used: tokenizer.ggml.model: \"frob\" is not supported"'
    run inspect "$model" --json --override tokenizer.ggml.model=str:frob
    check 'inspect --json says why, too' eval 'prints "\"not_judged\": [" && prints "the tokenizer'"'"'s keys"'
}

# ---------------------------------------------------------------------------------- what is no model, and names

others() {
    mkdir "$temporary/folder"
    mkfifo "$temporary/pipe"
    : >"$temporary/empty"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4081004224\n' >"$temporary/pointer"
    printf 'tjgg\003\000\000\000' >"$temporary/ggjt"
    while IFS='|' read -r file message; do
        case $file in /*) path=$file ;; *) path=$temporary/$file ;; esac
        if [ ! -e "$path" ]; then
            skip "$file" 'it is not there'
            continue
        fi
        for command in '' inspect tokenize eval bench; do
            case $command in eval) more='--tokens 1' ;; tokenize) more='-p x' ;; *) more='' ;; esac
            # shellcheck disable=SC2086 # words
            run $command "$path" $more
            check "$file is refused in one line: ${command:-generate}" refused "$path: $message"
        done
        run "$model" -n 1 --lora "$path"
        check "$file is refused in one line: --lora" refused "$path: $message"
    done <<'END'
folder|this is a folder, not a file: name the model's .gguf file in it
pipe|this is a pipe, not a file: a model is read at many offsets, so save it to a file first
empty|the file is empty
pointer|this is a git-lfs pointer, not a model: run 'git lfs pull' in its folder, or download the file itself
ggjt|this is a model in the old GGJT format, which GGUF replaced in 2023: use a GGUF file of the model, or convert the original
/dev/null|this is a device, not a file
/proc/cpuinfo|the system does not know the size of this file: copy it to a disk first
END

    run "$model" -q -t 0 -n 8
    cp "$out" "$temporary/text"
    cp "$model" "$temporary/whole-00001-of-00002.gguf"
    run "$temporary/whole-00001-of-00002.gguf" -q -t 0 -n 8
    check 'a whole model may be named like a part' cmp "$out" "$temporary/text"
    mv "$temporary/whole-00001-of-00002.gguf" "$temporary/whole-00002-of-00002.gguf"
    run "$temporary/whole-00002-of-00002.gguf" -q -t 0 -n 8 --no-mmap
    check 'of any number' cmp "$out" "$temporary/text"
}

speaking
keys
others

echo "1..$n"
