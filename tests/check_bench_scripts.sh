#!/bin/sh
# bench/bench_*.sh, scripts/soak_*.sh and bench/exactness: tests/check_bench_scripts.sh BUILD, from the top of the
# repository. Prints TAP. A stand-in for the program gives exact figures, so that they can be checked on every machine.
# Then the program itself runs, on the CPU under the name of each device, and with OpenCL if that is there.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the scripts are the same for a sanitizer: $SANITIZE"
LC_ALL=C
export LC_ALL
unset BIN N_TOKENS TEMPERATURE TOP_P TOP_K SEED GPU_LAYERS MIN_SPEEDUP ENFORCE_MIN_SPEEDUP SKIP_PREFLIGHT \
    SKIP_METAL_PREFLIGHT ITERATIONS MAX_RSS_GROWTH_KB
program=$1/mini-cllm demo=models/demo.gguf story='Once upon a time'
command -v bash >/dev/null || skip_all 'bash is missing'
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
said=$temporary/said out=$temporary/out err=$temporary/err calls=$temporary/calls status=0
TMPDIR=$temporary/scratch # for the scripts: the tests check what they leave there
export TMPDIR
mkdir "$TMPDIR"
case $program in
/*) ;;
*) program=$PWD/$program ;;
esac

# ------------------------------------------------------------------------------------------------ harness

# run [NAME=VALUE...] SCRIPT ARGUMENTS: what it prints in $out and $err, its exit status in $status
run() {
    : >"$calls"
    env "$@" >"$out" 2>"$err" </dev/null
    status=$?
}
fake() { run BIN="$temporary/stand-in" "$@"; }    # with the stand-in for the program
mapped() { run BIN="$temporary/on-the-cpu" "$@"; } # with the program, on the CPU instead of any device

show() { echo "status $status; stdout, then stderr:" && cat "$out" "$err" && return 1; } # and fails
exits() { [ "$status" -eq "$1" ] || show; }
refused() { # EXIT-STATUS TEXT: one line on stderr, which contains this text
    [ "$status" -eq "$1" ] && grep -qF -- "$2" "$err" && [ "$(wc -l <"$err")" -eq 1 ] || show
}
prints() { grep -qFx -- "$1" "$out" || show; }    # this line?
calls() { printf '%s\n' "$@" | diff - "$calls"; } # the stand-in's arguments, a line for each run
leaves_nothing() { [ -z "$(ls -A "$TMPDIR")" ] || show; }

# Are these the lines of stdout, each an extended regular expression from standard input?
has_form() {
    awk 'NR == FNR { form[++n] = $0; next }
        FNR > n || $0 !~ "^(" form[FNR] ")$" { print "line " FNR " is \"" $0 "\", not \"" form[FNR] "\""; wrong = 1 }
        END { exit wrong || NR - n != n }' - "$out" || show
}
seconds='[0-9]+[.][0-9][0-9][0-9]'
section() { # NAME SPEED
    printf '%s\n' "[[]$1]" "real_s: $seconds" "user_s: $seconds" "sys_s: $seconds" "tokens_per_second: $2" ''
}
# What a benchmark of DEVICE prints, by the settings PROMPT and N_TOKENS, with the SPEEDs of both and the SPEEDUP.
bench_form() {
    printf '%s\n' "=== mini-cllm on the CPU and on $1 ===" "model: $demo" "prompt: $2" "n_tokens: $3" 'gpu_layers: 9999' \
        'min_speedup: 2.0' 'enforce_min_speedup: 0' ''
    section cpu "$4"
    section "$1" "$5"
    echo "speedup_vs_cpu: ${6}x"
}
soak_form() { # DEVICE ITERATIONS N_TOKENS FIRST-KB LAST-KB MOST-KB GROWTH-KB SPEED
    printf '%s\n' "=== mini-cllm soaked on $1 ===" "model: $demo" "iterations: $2" "n_tokens: $3" 'gpu_layers: 9999' \
        "baseline_rss_kb: $4" "last_rss_kb: $5" "max_rss_kb: $6" "rss_growth_kb: $7" "avg_real_s: $seconds" \
        "avg_tokens_per_second: $8"
}

# The stand-in prints TEXT; %d in it becomes the number of the run. It reports CPU_SPEED or GPU_SPEED tokens a second,
# and for each run one field of MEMORY. If the device is not the CPU, it fails with the message FAILURE. With INTERRUPT
# it waits for Ctrl-C.
cat >"$temporary/stand-in" <<'SCRIPT'
#!/bin/sh
printf '%s\n' "$*" >>"$CALLS"
n=$(($(wc -l <"$CALLS"))) # macOS puts spaces before it
speed=${GPU_SPEED-25.0}
case $* in
*'--device cpu'*) speed=${CPU_SPEED-10.0} FAILURE='' ;;
esac
if [ "${INTERRUPT:-}" ]; then
    trap 'exit 130' INT
    echo started >"$INTERRUPT"
    sleep 20 &
    wait
fi
if [ "${FAILURE:-}" ]; then
    [ "$FAILURE" = silent ] && kill -9 $$
    printf 'a remark\nmini-cllm: %s\n' "$FAILURE" >&2
    exit 1
fi
printf "${TEXT:-a text}\n" "$n"
if [ "${MEMORY:-}" ]; then memory=$(echo "$MEMORY" | cut -d , -f "$n"); else memory='1.5 MiB'; fi
echo "load 0.01 s | prompt 2 tokens, 99.9 tok/s | generated 4 tokens${speed:+, $speed tok/s, 0.12 GB/s of weights} | peak memory $memory" >&2
SCRIPT
# Runs the real program, always on the CPU, whatever device the script names.
cat >"$temporary/on-the-cpu" <<'SCRIPT'
#!/bin/sh
before=''
for word; do
    shift
    case $before:$word in
    --device:*) set -- "$@" cpu ;;
    *:--gpu-layers | --gpu-layers:*) ;;
    *) set -- "$@" "$word" ;;
    esac
    before=$word
done
exec "$PROGRAM" "$@"
SCRIPT
chmod +x "$temporary/stand-in" "$temporary/on-the-cpu"
export CALLS="$calls" PROGRAM="$program"

# ------------------------------------------------------------------------------------- usage and arguments

for script in bench/bench_cpu.sh bench/bench_metal.sh bench/bench_gpu.sh scripts/soak_metal.sh scripts/soak_gpu.sh; do
    device=''
    case $script in
    *_gpu.sh) device=opencl ;;
    esac
    for flag in -h --help; do
        fake $script $flag
        check "$script $flag: the usage on stdout, exit 0" eval 'exits 0 && grep -q "^usage:.*MODEL.gguf \[PROMPT\]$" "$out" &&
            grep -qF "$script" "$out" && grep -q "BIN (build/mini-cllm)" "$out" && [ ! -s "$err" ] && [ ! -s "$calls" ]'
    done
    fake $script $device
    check "$script without a model: the usage on stderr, exit 1" eval 'exits 1 && grep -q "^usage:" "$err" && [ ! -s "$out" ]'
    fake $script $device $demo a prompt
    check "$script with an argument too many: the usage on stderr, exit 1" eval 'exits 1 && grep -q "^usage:" "$err" && [ ! -s "$out" ]'
    fake $script $device /nonexistent.gguf
    check "$script: a model that is not there" refused 1 ': /nonexistent.gguf: no such model'
    run BIN=/nonexistent/mini-cllm $script $device $demo
    check "$script: a program that is not there" refused 1 ': /nonexistent/mini-cllm is no program; build it with make'
    check "$script leaves no file" leaves_nothing
done
for script in bench/bench_gpu.sh scripts/soak_gpu.sh; do
    fake $script cpu $demo
    check "$script: a device that is no GPU's" refused 1 "'cpu' is not metal, cuda or opencl"
done
while read -r setting script; do
    fake "$setting" $script opencl $demo
    check "$script: $setting is refused" refused 1 "${setting%%=*}: '${setting#*=}' is not a number"
done <<'END_OF_SETTINGS'
MIN_SPEEDUP=fast bench/bench_gpu.sh
MIN_SPEEDUP=1e bench/bench_gpu.sh
MIN_SPEEDUP=. bench/bench_gpu.sh
ITERATIONS=0 scripts/soak_gpu.sh
ITERATIONS=few scripts/soak_gpu.sh
MAX_RSS_GROWTH_KB=-1 scripts/soak_gpu.sh
END_OF_SETTINGS

# ------------------------------------------------------------------------------- benchmarks, by the stand-in

settings='-t 0.0 --top-p 0.9 --top-k 40 --seed 42'
fake bench/bench_cpu.sh $demo
check 'bench_cpu.sh: what it runs' calls "$demo -p The answer is -n 1 $settings --device cpu" \
    "$demo -p The answer is -n 64 $settings --device cpu"
cpu_form() { # PROMPT N_TOKENS SPEED TEXT
    printf '%s\n' '=== mini-cllm on the CPU ===' "model: $demo" "prompt: $1" "n_tokens: $2" ''
    section cpu "$3"
    printf '%s\n' 'generated_text:' "$4"
}
check 'bench_cpu.sh: what it prints' eval 'exits 0 && cpu_form "The answer is" 64 10.0 "a text" | has_form && [ ! -s "$err" ]'

for device in metal cuda opencl; do
    fake bench/bench_gpu.sh $device $demo
    check "bench_gpu.sh $device: what it runs" calls "$demo -p The answer is -n 1 $settings --device $device --gpu-layers 9999" \
        "$demo -p The answer is -n 64 $settings --device cpu" \
        "$demo -p The answer is -n 64 $settings --device $device --gpu-layers 9999"
    check "bench_gpu.sh $device: what it prints" eval 'exits 0 && bench_form $device "The answer is" 64 10.0 25.0 2.500 | has_form && [ ! -s "$err" ]'
done
fake N_TOKENS=7 TEMPERATURE=0.5 TOP_P=0.8 TOP_K=3 SEED=9 GPU_LAYERS=2 SKIP_METAL_PREFLIGHT=1 bench/bench_metal.sh $demo 'a  b'
check 'bench_metal.sh: the settings reach the program; no preflight where it is not wanted' calls \
    "$demo -p a  b -n 7 -t 0.5 --top-p 0.8 --top-k 3 --seed 9 --device cpu" \
    "$demo -p a  b -n 7 -t 0.5 --top-p 0.8 --top-k 3 --seed 9 --device metal --gpu-layers 2"
check 'bench_metal.sh: they are printed' eval 'prints "prompt: a  b" && prints "n_tokens: 7" && prints "gpu_layers: 2"'
fake SKIP_PREFLIGHT=1 bench/bench_gpu.sh cuda $demo
check 'bench_gpu.sh: no preflight where it is not wanted' eval 'exits 0 && [ "$(grep -c . "$calls")" = 2 ]'
fake SKIP_PREFLIGHT=1 bench/bench_cpu.sh $demo
check 'bench_cpu.sh: no preflight where it is not wanted' eval 'exits 0 && [ "$(grep -c . "$calls")" = 1 ]'

# CPU_SPEED GPU_SPEED MIN_SPEEDUP, the speedup that is printed, the exit status
while read -r cpu gpu least speedup wanted; do
    [ "$cpu" != none ] || cpu=''
    [ "$gpu" != none ] || gpu=''
    fake CPU_SPEED="$cpu" GPU_SPEED="$gpu" MIN_SPEEDUP="$least" ENFORCE_MIN_SPEEDUP=1 bench/bench_metal.sh $demo
    check "the gate: '$cpu' and '$gpu' tokens a second are $speedup, exit $wanted where $least is asked" eval \
        'exits $wanted && prints "speedup_vs_cpu: $speedup" && case $wanted in
            0) grep -q "^benchmark gate passed: .* $speedup .* ${least}x$" "$out" && [ ! -s "$err" ] ;;
            *) grep -q "^benchmark gate failed: .* $speedup " "$err" ;;
            esac'
done <<'END_OF_SPEEDS'
10.0 25.0 2.0 2.500x 0
10.0 25.0 2.5 2.500x 0
10.0 25.0 .5 2.500x 0
10.0 25.0 2.501 2.500x 2
10.0 95.0 10 9.500x 2
10.0 9.0 1 0.900x 2
3 10 3.333 3.333x 0
none 25.0 0 nanx 2
10.0 none 0 nanx 2
0.0 0.0 0 nanx 2
0.0 25.0 2.0 infx 2
END_OF_SPEEDS
fake CPU_SPEED=10.0 GPU_SPEED= bench/bench_metal.sh $demo
check 'no speed is nan' eval 'exits 0 && bench_form metal "The answer is" 64 10.0 nan nan | has_form'
fake CPU_SPEED=10.0 GPU_SPEED=1.0 bench/bench_metal.sh $demo
check 'no gate unless it is wanted' eval 'exits 0 && prints "speedup_vs_cpu: 0.100x"'

for script in bench/bench_metal.sh scripts/soak_metal.sh; do
    fake FAILURE='no such device' $script $demo
    check "$script: a device that does not run" eval 'refused 1 "no run on metal: mini-cllm: no such device" && [ ! -s "$out" ]'
    fake FAILURE=silent $script $demo
    check "$script: a program that is killed" refused 1 'no run on metal: '"$temporary/stand-in"' ended with status 137'
    check "$script: nothing is left of it" leaves_nothing
done
fake FAILURE='no such device' SKIP_METAL_PREFLIGHT=1 bench/bench_metal.sh $demo
check 'bench_metal.sh: a device that does not run, without preflight' eval 'refused 1 "mini-cllm: no such device" && prints "[cpu]"'

# ------------------------------------------------------------------------------------ soaking, by the stand-in

fake ITERATIONS=3 MEMORY='1.0 MiB,3.0 MiB,2048.0 KiB,1.5 MiB' scripts/soak_metal.sh $demo
run_line="$demo -p Hello -n 32 $settings --device metal --gpu-layers 9999"
check 'soak_metal.sh: what it runs' calls "$run_line" "$run_line" "$run_line" "$run_line"
check 'soak_metal.sh: what it prints' eval 'exits 0 && soak_form metal 3 32 1024 1536 3072 512 25.000 | has_form && [ ! -s "$err" ]'
fake scripts/soak_gpu.sh cuda $demo
check 'soak_gpu.sh: 20 iterations after the first' eval 'exits 0 && [ "$(grep -c -- "--device cuda" "$calls")" = 21 ] && prints "iterations: 20"'
fake ITERATIONS=2 MEMORY='100 bytes,1.0 GiB,0.5 GiB' MAX_RSS_GROWTH_KB=524288 scripts/soak_metal.sh $demo
check 'soak_metal.sh: growth up to the limit' eval 'exits 0 && soak_form metal 2 32 0 524288 1048576 524288 25.000 | has_form'
fake ITERATIONS=2 MEMORY='2.0 GiB,3.0 GiB,2.25 GiB' MAX_RSS_GROWTH_KB=262143 scripts/soak_metal.sh $demo
check 'soak_metal.sh: growth over the limit' eval 'refused 1 "262144 KiB more" &&
    soak_form metal 2 32 2097152 2359296 3145728 262144 25.000 | has_form'
fake ITERATIONS=1 MEMORY='2.0 GiB,3.0 GiB' scripts/soak_metal.sh $demo
check 'soak_metal.sh: growth over the limit that it has by default' refused 1 'MAX_RSS_GROWTH_KB=262144'
fake ITERATIONS=1 MEMORY='2.0 MiB,1.0 MiB' MAX_RSS_GROWTH_KB=0 scripts/soak_metal.sh $demo
check 'soak_metal.sh: shrinking is no growth' eval 'exits 0 && prints "rss_growth_kb: -1024"'
fake ITERATIONS=2 TEXT='text %d' scripts/soak_metal.sh $demo
check 'soak_metal.sh: another text' eval 'refused 1 "run 1 of 2 on metal wrote another text" && [ ! -s "$out" ]'
fake ITERATIONS=2 MEMORY=unknown scripts/soak_metal.sh $demo
check 'soak_metal.sh: a program that does not tell its memory' refused 1 'does not tell its peak memory'
fake ITERATIONS=2 GPU_SPEED= scripts/soak_metal.sh $demo
check 'soak_metal.sh: no speed is nan' eval 'exits 0 && prints "avg_tokens_per_second: nan"'

# ---------------------------------------------------------------------------------------------------- Ctrl-C

# Interrupts a script and all that it started, once the stand-in runs. They are in a process group of their own, as in a
# terminal.
interrupt() {
    mkfifo "$temporary/started"
    : >"$calls"
    INTERRUPT=$temporary/started BIN=$temporary/stand-in perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV' "$@" \
        >"$out" 2>"$err" </dev/null &
    process=$!
    read -r _ <"$temporary/started"
    kill -INT -$process
    wait $process
    status=$?
    rm "$temporary/started"
}
for script in bench/bench_cpu.sh bench/bench_metal.sh scripts/soak_metal.sh; do
    interrupt $script $demo
    check "$script: Ctrl-C stops it at once, and nothing is left of it" eval 'exits 130 && leaves_nothing &&
        [ "$(grep -c . "$calls")" = 1 ] && [ ! -s "$err" ]'
done

# ----------------------------------------------------------------------------------------------- the program

# The scripts with the program itself, through RUNNER (run or mapped), for DEVICE, by the scripts BENCH and SOAK.
speed='[0-9]+[.][0-9]'
with_program() {
    name=$1 runner=$2 device=$3 bench=$4 soak=$5
    $runner N_TOKENS=8 $bench $demo "$story"
    check "$name: a benchmark" eval 'exits 0 && bench_form $device "$story" 8 $speed $speed $seconds | has_form && [ ! -s "$err" ]'
    $runner N_TOKENS=8 ENFORCE_MIN_SPEEDUP=1 MIN_SPEEDUP=0.000001 $bench $demo "$story"
    check "$name: a gate that any speed passes" eval 'exits 0 && grep -q "^benchmark gate passed" "$out"'
    $runner N_TOKENS=8 ENFORCE_MIN_SPEEDUP=1 MIN_SPEEDUP=1000000 $bench $demo "$story"
    check "$name: a gate that no speed passes" refused 2 'is below 1000000x'
    $runner N_TOKENS=1 ENFORCE_MIN_SPEEDUP=1 $bench $demo "$story"
    check "$name: one token has no speed" refused 2 'nanx is not a number'
    $runner N_TOKENS=8 ITERATIONS=2 $soak $demo "$story"
    check "$name: soaking" eval 'exits 0 && soak_form $device 2 8 "[0-9]+" "[0-9]+" "[0-9]+" "-?[0-9]+" "$speed[0-9][0-9]" | has_form && [ ! -s "$err" ]'
    check "$name: the memory of a program" awk '$1 == "baseline_rss_kb:" && $2 >= 1024 { ok = 1 } END { exit !ok }' "$out"
    $runner N_TOKENS=none $bench $demo
    check "$name: the program's own complaint" eval 'refused 1 mini-cllm: && grep -q none "$err"'
}

run BIN="$program" N_TOKENS=8 bench/bench_cpu.sh $demo "$story"
text=$("$program" $demo -p "$story" -n 8 -t 0 --top-p 0.9 --top-k 40 --seed 42 -q)
check 'bench_cpu.sh with the program' eval 'exits 0 && cpu_form "$story" 8 $speed ".*" | has_form && [ "$(tail -n 1 "$out")" = "$text" ]'
with_program 'metal, on the CPU' mapped metal bench/bench_metal.sh scripts/soak_metal.sh
with_program 'opencl, on the CPU' mapped opencl 'bench/bench_gpu.sh opencl' 'scripts/soak_gpu.sh opencl'

by_opencl() { run BIN="$program" "$@"; }
if "$program" $demo -p "$story" -n 1 --device opencl --gpu-layers 9999 >/dev/null 2>"$err"; then
    with_program 'opencl' by_opencl opencl 'bench/bench_gpu.sh opencl' 'scripts/soak_gpu.sh opencl'
else
    n=$((n + 1))
    echo "ok $n - opencl: benchmark, gate and soaking # SKIP $(tail -n 1 "$err"); Debian's packages ocl-icd-libopencl1 and pocl-opencl-icd bring one"
    run BIN="$program" bench/bench_gpu.sh opencl $demo
    check 'bench_gpu.sh: this machine has no OpenCL, and that is said in one line' refused 1 'no run on opencl: mini-cllm: '
fi

# ------------------------------------------------------------------------------------------ how exact they are

if command -v python3 >/dev/null; then
    head -c 500 LICENSE >"$temporary/text"
    ids=$("$program" tokenize $demo -f "$temporary/text" | tr ' ' ,)
    "$program" eval $demo --tokens "$ids" -q --cpu-isa scalar --kv-type f32 --logits "$temporary/scalar.f32" >/dev/null
    python3 - "$temporary" <<'PYTHON'
import array, sys
rows = array.array("f", open(sys.argv[1] + "/scalar.f32", "rb").read())
array.array("d", rows).tofile(open(sys.argv[1] + "/exact.f64", "wb"))
PYTHON
    kl='[0-9][.][0-9]e-[1-9]' share='[0-9.]+%'
    run BIN="$program" bench/exactness $demo "$temporary/text"
    check 'exactness: the fast path beside the scalar one' eval 'exits 0 && echo "[|] demo, [0-9]+ tokens [|] [|] $kl [|] [|] $share [|] [|]" | has_form'
    run BIN="$program" bench/exactness $demo "$temporary/text" --exact "$temporary/exact.f64" --other "$temporary/scalar.f32"
    check 'exactness: three beside an exact reference, two of them equal to it' eval 'exits 0 &&
        echo "[|] demo, [0-9]+ tokens [|] 0.0e[+]00 [|] $kl [|] 0.0e[+]00 [|] $share [|] 100.0% [|]" | has_form'
    run BIN="$program" bench/exactness $demo "$temporary/text" --other "$temporary/text"
    check 'exactness: a file of other logits' refused 1 'not each of the'
    yes 'One day there was a girl, and a dog, and a boy who said that it was late.' | head -n 1500 >"$temporary/long"
    run BIN="$program" bench/exactness $demo "$temporary/long" --other "$temporary/scalar.f32"
    check 'exactness: a text with more ids than an argument may hold' refused 1 'not each of the'
    run BIN="$program" bench/exactness $demo "$temporary/text" --exact /nonexistent.f64
    check 'exactness: a missing file of exact numbers' refused 1 'exactness: /nonexistent.f64: No such file or directory'
    run BIN="$program" bench/exactness $demo /nonexistent
    check 'exactness: a missing text' refused 1 '/nonexistent: No such file'
    run BIN=/nonexistent bench/exactness $demo "$temporary/text"
    check 'exactness: a missing program' refused 1 'exactness: /nonexistent: there is no such program'
else
    n=$((n + 1)) && echo "ok $n - exactness # SKIP python3 is missing"
fi
check 'nothing is left of all these runs' leaves_nothing
echo "1..$n"
