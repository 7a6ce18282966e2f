# What bench_cpu.sh, bench_gpu.sh and scripts/soak_gpu.sh share: one run of the program, its time, and what its summary says.
# To be sourced by bash, which has a clock of its own; the 3.2 of macOS will do. The settings come from the environment.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # names that serve those who source this, and $usage, which they bring
export LC_ALL=C # a point in every number
TIMEFORMAT=$'real_s: %3R\nuser_s: %3U\nsys_s: %3S'

BIN=${BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/mini-cllm}
N_TOKENS=${N_TOKENS:-64}
TEMPERATURE=${TEMPERATURE:-0.0}
TOP_P=${TOP_P:-0.9}
TOP_K=${TOP_K:-40}
SEED=${SEED:-42}
GPU_LAYERS=${GPU_LAYERS:-9999}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# arguments LEAST MOST WORDS...: is their number right? Answers --help, and says what $usage holds where it is not.
arguments() {
    local least=$1 most=$2 word
    shift 2
    for word; do
        case $word in
        -h | --help) echo "$usage" && exit 0 ;;
        esac
    done
    if [ $# -lt "$least" ] || [ $# -gt "$most" ]; then
        echo "$usage" >&2
        exit 1
    fi
}

is_number() { printf '%s\n' "$1" | grep -Eqx '[0-9]+\.?[0-9]*|\.[0-9]+'; }
is_count() { printf '%s\n' "$1" | grep -Eqx '[0-9]{1,15}'; }
is_gpu() { case $1 in metal | cuda | opencl) ;; *) return 1 ;; esac }

# prepare MODEL PROMPT: what every run needs; the files that one leaves are $text, $log and $times.
prepare() {
    model=$1 prompt=$2
    command -v "$BIN" >/dev/null || fail "$BIN is no program; build it with make, or let BIN name another"
    [ -f "$model" ] || fail "$model: no such model"
    temporary=$(mktemp -d "${TMPDIR:-/tmp}/mini-cllm.XXXXXX") || exit 1
    trap 'rm -rf "$temporary"' EXIT
    trap 'exit 130' INT # also where the program finished in time
    text=$temporary/text log=$temporary/log times=$temporary/times
}

# run DEVICE N: generate N tokens. A run that fails ends the script, with the last that the program said.
run() {
    local device=$1 status=0 reason
    set -- "$model" -p "$prompt" -n "$2" -t "$TEMPERATURE" --top-p "$TOP_P" --top-k "$TOP_K" --seed "$SEED" --device "$device"
    [ "$device" = cpu ] || set -- "$@" --gpu-layers "$GPU_LAYERS"
    { time "$BIN" "$@" >"$text" 2>"$log"; } 2>"$times" || status=$?
    [ $status != 130 ] || exit 130
    if [ $status != 0 ]; then
        reason=$(tail -n 1 "$log")
        fail "no run on $device: ${reason:-$BIN ended with status $status and no word}"
    fi
}

# From the last run: tokens generated a second, nan where the program tells none, ...
speed() {
    local speed
    speed=$(sed -n 's/.*| generated [0-9]* tokens*, \([0-9.][0-9.]*\) tok\/s.*/\1/p' "$log" | tail -n 1)
    echo "${speed:-nan}"
}

# ... and the most memory that it held, in KiB; nothing where it does not tell.
peak_memory() {
    sed -n 's/.*| peak memory \([0-9.][0-9.]* [A-Za-z]*\).*/\1/p' "$log" | tail -n 1 | awk '
        BEGIN { unit["bytes"] = 1 / 1024; unit["KiB"] = 1; unit["MiB"] = 1024; unit["GiB"] = 1024 ^ 2; unit["TiB"] = 1024 ^ 3 }
        $2 in unit { printf "%.0f\n", $1 * unit[$2] }'
}

# section DEVICE: a measured run, told
section() {
    run "$1" "$N_TOKENS"
    tokens_per_second=$(speed)
    printf '[%s]\n' "$1"
    cat "$times"
    echo "tokens_per_second: $tokens_per_second"
    echo
}
