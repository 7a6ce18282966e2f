# Shared by bench_cpu.sh, bench_gpu.sh and scripts/soak_gpu.sh: one run of the program, its time, and the figures of
# its summary. To be sourced by bash (macOS's 3.2 is enough), which can measure time itself. The settings come from
# the environment.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # names for the scripts that source this, and their own $usage
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

# arguments LEAST MOST WORDS...: prints $usage for --help, or if the number of words is wrong, and exits.
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

# prepare MODEL PROMPT: checks what every run needs. A run leaves the files $text, $log and $times.
prepare() {
    model=$1 prompt=$2
    command -v "$BIN" >/dev/null || fail "$BIN is no program; build it with make, or let BIN name another"
    [ -f "$model" ] || fail "$model: no such model"
    temporary=$(mktemp -d "${TMPDIR:-/tmp}/mini-cllm.XXXXXX") || exit 1
    trap 'rm -rf "$temporary"' EXIT
    trap 'exit 130' INT # also if the program had finished already
    text=$temporary/text log=$temporary/log times=$temporary/times
}

# run DEVICE N: generates N tokens. If the program fails, the script ends and prints the program's last line.
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

# Tokens generated a second in the last run; nan if the program did not print it.
speed() {
    local speed
    speed=$(sed -n 's/.*| generated [0-9]* tokens*, \([0-9.][0-9.]*\) tok\/s.*/\1/p' "$log" | tail -n 1)
    echo "${speed:-nan}"
}

# Peak memory of the last run in KiB; nothing if the program did not print it.
peak_memory() {
    sed -n 's/.*| peak memory \([0-9.][0-9.]* [A-Za-z]*\).*/\1/p' "$log" | tail -n 1 | awk '
        BEGIN { unit["bytes"] = 1 / 1024; unit["KiB"] = 1; unit["MiB"] = 1024; unit["GiB"] = 1024 ^ 2; unit["TiB"] = 1024 ^ 3 }
        $2 in unit { printf "%.0f\n", $1 * unit[$2] }'
}

# section DEVICE: makes a run and prints its figures.
section() {
    run "$1" "$N_TOKENS"
    tokens_per_second=$(speed)
    printf '[%s]\n' "$1"
    cat "$times"
    echo "tokens_per_second: $tokens_per_second"
    echo
}
