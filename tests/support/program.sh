# How shell tests meet the program, and what they say of it as TAP (https://testanything.org); to be sourced by a script whose
# first argument is the folder of the build, and which ends with `finish`. Models come from the shared folder and
# models/demo.gguf; a test whose model is missing counts as skipped.

program=$1/mini-cllm
shared=${MINICLLM_SHARED:-../shared}
stories=$shared/models/stories260K.gguf
demo=models/demo.gguf
if [ -e "$demo" ]; then any=$demo; else any=$stories; fi
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
out=$temporary/out err=$temporary/err
tests=0 failures=0 status=0
exec </dev/null # without a prompt a pipe would be read, and it may never end

ok() { tests=$((tests + 1)) && echo "ok $tests - $*"; }
not_ok() {
    tests=$((tests + 1)) failures=$((failures + 1))
    echo "not ok $tests - $*"
    echo "# status $status; stdout, then stderr:"
    for stream in "$out" "$err"; do
        head -c 500 "$stream" | tr -c '\n\40-\176' '?' | sed 's/^/#   /'
        echo '#'
    done
}
skip() { tests=$((tests + 1)) && echo "ok $tests - $1 # SKIP $2"; }

# run ARGUMENTS: the program, with what it prints in $out and $err, and its exit status in $status
run() {
    "$program" "$@" >"$out" 2>"$err"
    status=$?
}

# check NAME CONDITION...: is the condition, a command, true?
check() {
    name=$1
    shift
    if "$@" >>"$temporary/check" 2>&1; then ok "$name"; else not_ok "$name"; fi
}

says() { grep -qF -- "$1" "$err"; }            # is this on stderr?
prints() { grep -qF -- "$1" "$out"; }          # is this on stdout?
exits() { [ "$status" -eq "$1" ]; }            # with this status?
one_line() { [ "$(wc -l <"$err")" -eq 1 ]; }   # one line on stderr, no more?
silent() { [ ! -s "$err" ]; }                  # nothing on stderr?
refused() { exits "$1" && one_line && says "mini-cllm: $2" && [ ! -s "$out" ]; }
is_text() { printf "$1" | cmp -s - "$out"; }   # exactly this on stdout, with printf's escapes?
utf8() { iconv -f UTF-8 -t UTF-8 "$out"; }

# Wait until a condition is true: five minutes at most, for what is asked is whether it comes, not when.
await() {
    tries=0
    until "$@" || [ $tries -ge 3000 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# In the background, where a shell's script has the Ctrl-C of its jobs ignored: run a command that hears it.
hears_interrupts() { exec perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV or exit 127' "$@"; }

# Start the program in the background, where its stderr and stdout go to $err and $out: $process.
start() {
    : >"$out"
    hears_interrupts "$program" "$@" >"$out" 2>"$err" &
    process=$!
}

# Wait for its end: $status.
finished() {
    wait "$process"
    status=$?
}

floats() { od -An -v -tf4 "$1" | tr -s ' ' '\n' | sed '/^$/d'; } # one a line

# Each group of tests is a function, which is skipped as one where its files are missing: group NAME FILE...
group() {
    for needed in $2; do
        if [ ! -e "$needed" ]; then
            skip "$1" "$needed is missing"
            return
        fi
    done
    "$1"
}

# The plan, and whether all is well.
finish() {
    echo "1..$tests"
    [ "$failures" -eq 0 ]
}
