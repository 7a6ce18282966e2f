# How shell tests report checks, as TAP (https://testanything.org); to be sourced. The caller sets $said, a file for
# the output of a check.
n=0

# draw N WORD...: N of the words, chosen by MINICLLM_TEST_SEED and the number of checks before; all of them if
# MINICLLM_TEST_LONG is 1
MINICLLM_TEST_SEED=${MINICLLM_TEST_SEED:-$(date +%s)}
draw() {
    [ "${MINICLLM_TEST_LONG:-}" != 1 ] || { shift && echo "$*" && return; }
    perl -e 'my ($seed, $most, @words) = @ARGV; srand $seed; rand; splice @words, rand @words, 1 while @words > $most;
        print "@words\n"' "$((MINICLLM_TEST_SEED + n))" "$@"
}

# choose N COMMAND: of the script's lines that begin with COMMAND, draw N; is_chosen says it of each, in their order
choose() {
    # shellcheck disable=SC2046 # words
    chosen=" $(draw "$1" $(seq "$(grep -c "^ *$2 " "$0")")) " line=0
}
is_chosen() {
    line=$((line + 1))
    case $chosen in *" $line "*) true ;; *) false ;; esac
}

skip_all() { # REASON
    echo "1..0 # SKIP $1"
    exit 0
}

skip() { # DESCRIPTION REASON: one check that cannot be made here
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

check() { # DESCRIPTION COMMAND...: one line, and the command's output if it fails
    n=$((n + 1)) description=$1
    shift
    if "$@" >"$said" 2>&1; then echo "ok $n - $description"; else
        echo "not ok $n - $description"
        sed 's/^/# /' "$said"
    fi
}
