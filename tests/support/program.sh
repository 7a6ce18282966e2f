# How shell tests run the program and report checks, as TAP (https://testanything.org); to be sourced by a script
# whose first argument is the folder of the build, and which ends with `finish`. Models come from the shared folder
# and models/demo.gguf; a test whose model is missing counts as skipped.

program=$1/mini-cllm
shared=${MINICLLM_SHARED:-../shared}
stories=$shared/models/stories260K.gguf
demo=models/demo.gguf
if [ -e "$demo" ]; then any=$demo; else any=$stories; fi
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
out=$temporary/out err=$temporary/err
tests=0 failures=0 status=0
exec </dev/null # without a prompt the program reads standard input, and a pipe may never end

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

# run ARGUMENTS: runs the program; its output is in $out and $err, its exit status in $status
run() {
    "$program" "$@" >"$out" 2>"$err"
    status=$?
}

# check NAME CONDITION...: passes if the condition, a command, succeeds
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

# Wait until a condition is true, five minutes at most: the test is whether it becomes true, not when.
await() {
    tries=0
    until "$@" || [ $tries -ge 3000 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# Run a command that reacts to Ctrl-C. In the background it would not: a shell script makes its jobs ignore it.
hears_interrupts() { exec perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV or exit 127' "$@"; }

# Start the program in the background. Its output goes to $out and $err; $process is its number.
start() {
    : >"$out"; : >"$err" # nothing of a former run is taken for this one's
    hears_interrupts "$program" "$@" >"$out" 2>"$err" &
    process=$!
}

# Wait until it ends; its exit status is in $status.
finished() {
    wait "$process"
    status=$?
}

floats() { od -An -v -tf4 "$1" | tr -s ' ' '\n' | sed '/^$/d'; } # one a line

# group NAME FILE...: runs a function with a group of tests; if a file is missing, the group is skipped as one test
group() {
    for needed in $2; do
        if [ ! -e "$needed" ]; then
            skip "$1" "$needed is missing"
            return
        fi
    done
    "$1"
}

# Print the plan; fail if a test failed.
finish() {
    echo "1..$tests"
    [ "$failures" -eq 0 ]
}
