# Tests that every GPU API must pass, as TAP; to be sourced by tests/check_gpu_*.sh, which set
#
#   device     opencl, metal or cuda
#   build      the folder of the build
#
# and end with gpu_suite, or with gpu_models, which needs the shared models. If the device is not there, everything
# is skipped. This file sets
#
#   program     the program to run
#   quick       1: the device is slow, so stories and contexts are short
#   lookalike   1: there is no such device, and a look-alike stands in for it
shared=${MINICLLM_SHARED:-../shared}
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
said=$temporary/said
. tests/support/checks.sh

# Skips if the device is missing, with the driver's own message. Any other reason for not getting a token is a failure.
needs_device() { # WORDS PACKAGES
    reason=$($program models/demo.gguf --device "$device" -n 1 -q 2>&1 >/dev/null) && return
    case $reason in *"$1"*) skip_all "$reason${2:+ (Debian: $2)}" ;; esac
    printf '1..1\nnot ok 1 - %s runs\n# %s\n' "$device" "$reason"
    exit 1
}

program=$build/mini-cllm quick='' lookalike=''
case $device in
opencl) # Debian's PoCL makes an OpenCL device of the CPU
    case $($program models/demo.gguf --device opencl -n 1 -q 2>&1) in
    *'OpenCL finds no free device'*) absent='OpenCL finds no free device' ;;
    *) absent='no OpenCL: ' ;;
    esac
    [ -z "${SANITIZE:-}" ] || quick=1
    needs_device "$absent" 'ocl-icd-libopencl1 pocl-opencl-icd'
    ;;
metal)
    quick=1
    if [ "$(uname -s)" = Darwin ]; then
        needs_device 'Metal finds no GPU'
    else # `make lookalike` built the program
        program=$build/lookalike/mini-cllm lookalike=1
        [ -x "$program" ] || skip_all "the look-alike of Metal was not built: it needs clang and libobjc-12-dev, and no sanitizer"
        export LOOKALIKE_METAL_FAMILY=7 LOOKALIKE_CACHE="$build/lookalike/cache"
        mkdir -p "$LOOKALIKE_CACHE"
        needs_device 'none: it is built'
    fi
    ;;
cuda)
    case $($program models/demo.gguf --device cuda -n 1 -q 2>&1) in
    *'no CUDA: '* | *'no CUDA device'* | *libnvrtc*)
        quick=1 lookalike=1
        [ -z "${SANITIZE:-}" ] || skip_all "the look-alike of CUDA is not for a sanitizer: $SANITIZE"
        command -v clang++ >/dev/null || skip_all 'the look-alike of CUDA needs clang++ (Debian: clang)'
        [ -e "$build/lookalike_cuda/libcuda.so.1" ] || skip_all 'the look-alike of CUDA is for Linux'
        export LD_LIBRARY_PATH="$build/lookalike_cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        ;;
    esac
    needs_device 'none: it is built, or there'
    ;;
esac

echo "# drawn by MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"

most() { [ "$quick" ] && echo $((($1 + 1) / 2)) || echo "$1"; } # N: how many cases to draw of many

with() { # VARIABLE=VALUE... COMMAND: a function of this script with these in its environment
    (
        while case $1 in *=*) true ;; *) false ;; esac do
            export "$1"
            shift
        done
        "$@"
    )
}

floats() { od -An -v -t f4 "$1" | tr -s ' ' '\n' | sed '/^$/d'; }

nmse() { # GOT WANT, files of floats
    floats "$1" >"$temporary/got.txt"
    floats "$2" | paste "$temporary/got.txt" - |
        awk '{ e += ($1 - $2) ^ 2; s += $2 ^ 2 } END { print (NR > 0 && s > 0 && e == e) ? e / s : 1 }'
}

below() { [ "$1" ] && awk -v x="$1" -v limit="$2" 'BEGIN { exit !(x + 0 < limit + 0) }'; }

# Writes the logits after tokens 1.. of a model to a file: FILE MODEL N OPTIONS...
logits() {
    file=$temporary/$1 model=$2
    tokens=$(seq "$3" | awk '{ printf "%s%d", (NR > 1 ? "," : ""), $1 * 37 % 499 }')
    shift 3
    $program eval "$model" --tokens "$tokens" --logits "$file" -q "$@" >/dev/null
}

on_gpu() { # FILE MODEL N OPTIONS...
    logits "$@" --device "$device"
}

# Splits the model after each number of layers, or after some random ones; the CPU's layers use the scalar kernels.
right_splits() { # MODEL N_LAYERS N
    logits want "$1" "$3" --cpu-isa scalar --kv-type f32 || return 1
    # shellcheck disable=SC2046 # words
    for n_layers in $(draw "$(most 3)" $(seq 0 "$2")); do
        on_gpu got "$1" "$3" --cpu-isa scalar --kv-type f32 --gpu-layers "$n_layers" || return 1
        error=$(nmse "$temporary/got" "$temporary/want")
        echo "$n_layers layers on $device: NMSE $error"
        below "$error" 1e-6 || return 1
    done
}

near_exact() { # MODEL, beside which are its exact logits for tokens.txt
    $program eval "$1" --tokens "$(cat "${1%/*}/tokens.txt")" --logits "$temporary/got" -q --kv-type f32 \
        --device "$device" --gpu-layers 9999 >/dev/null || return 1
    error=$(nmse "$temporary/got" "${1%.gguf}.logits.f32")
    echo "NMSE $error"
    below "$error" "$2"
}

family() { # NAME: all layers on the GPU give llama.cpp's logits; its context was 4096, or 512 for gpt2
    model=$shared/families/$1.gguf context=4096
    [ "$1" = gpt2 ] && context=512
    ends 0 "device: $device" eval "$model" --tokens "$(cat "$shared/families/tokens.txt")" --logits "$temporary/got" \
        --kv-type f32 --ctx $context --device "$device" -v || return 1
    error=$(nmse "$temporary/got" "${model%.gguf}.logits.f32")
    echo "NMSE $error"
    below "$error" 1e-5
}

# A family with a trait that the GPU's kernels do not support: --device GPU refuses it; auto uses the CPU and says so.
left_to_the_cpu() { # NAME TRAIT
    ends 1 "--device $device: the model has $2, which the GPU's kernels do not support" "$shared/families/$1.gguf" -n 1 \
        --device "$device" || return 1
    ends 0 "device: cpu, because the model has $2, which the GPU's kernels do not support" "$shared/families/$1.gguf" -n 1 \
        --device auto -v
}

# With --exact a token's logits are the same bits for any batch. Without it they are the same bits in every run.
same_bits() { # MODEL N
    on_gpu one "$1" "$2" --exact || return 1
    for batch in $(draw "$(most 2)" 1 2 3 7 64); do
        on_gpu other "$1" "$2" --exact --batch $batch || return 1
        cmp "$temporary/one" "$temporary/other" || return 1
    done
    on_gpu one "$1" "$2" && on_gpu other "$1" "$2" && cmp "$temporary/one" "$temporary/other"
}

same_story() { # MODEL OPTIONS...: the story that the scalar CPU tells
    model=$1
    shift
    n_tokens=160
    [ -z "$quick" ] || n_tokens=50
    for prompt in '' 'One day, a girl named Lily went to the park with her big dog'; do
        $program "$model" -p "$prompt" -t 0 -n "$n_tokens" -q --cpu-isa scalar >"$temporary/want" &&
            $program "$model" -p "$prompt" -t 0 -n "$n_tokens" -q --cpu-isa scalar --device "$device" "$@" >"$temporary/got" &&
            cmp "$temporary/got" "$temporary/want" || return 1
    done
}

# Runs the program; its exit status and a part of standard error must be these: STATUS TEXT arguments
ends() {
    status=$1 part=$2
    shift 2
    $program "$@" >"$temporary/out" 2>"$temporary/err" </dev/null
    got=$?
    cat "$temporary/err"
    [ $got = "$status" ] && grep -qF -e "$part" "$temporary/err"
}

demo() { ends "$1" "$2" models/demo.gguf -t 0 -n 40 --device "${3:-$device}" -v; } # STATUS TEXT [DEVICE]

# The device fails while the program generates: the text before the failure is right, and the message is there:
# VARIABLE=FAULT TEXT
fails_midway() {
    $program models/demo.gguf -t 0 -n 40 -q --cpu-isa scalar >"$temporary/whole" || return 1
    with "$1" demo 1 "$2" || return 1
    head -c "$(($(wc -c <"$temporary/out") - 1))" "$temporary/out" >"$temporary/begin" # but for the newline
    [ -s "$temporary/begin" ] && head -c "$(wc -c <"$temporary/begin")" "$temporary/whole" | cmp - "$temporary/begin"
}

refuses_what_does_not_fit() { # 2^31 - 1 positions do not fit anywhere
    ends 1 "MiB of keys and values" models/demo.gguf --device "$device" --gpu-layers 9999 --ctx 2147483647 -n 1 &&
        grep -q "^mini-cllm: --device $device: 4 layers need .*; not even one layer fits;" "$temporary/err"
}

# Checks the checks: a comparison that cannot fail would pass everything.
tells_errors() {
    printf 'aaaabbbb' >"$temporary/a" && printf 'aaaacccc' >"$temporary/b" || return 1
    below "$(nmse "$temporary/a" "$temporary/a")" 1e-30 && ! below "$(nmse "$temporary/a" "$temporary/b")" 1e-3 &&
        ! below "$(nmse /dev/null "$temporary/a")" 1e-6 && ! below '' 1
}

cpu_alone() {
    ends 0 'compute: ' "$1" -n 1 --device "$device" --gpu-layers 0 -v && ! grep -q "device: $device" "$temporary/err"
}

# The models of the shared folder.
gpu_models() {
    stories=$shared/models/stories260K.gguf
    [ -e "$stories" ] || skip_all "$shared/models is missing"
    check "$device: splits of stories260K are the scalar CPU" right_splits "$stories" 5 40
    for layers in $(draw "$(most 2)" 1 2 3 4 9999); do
        check "$device: stories260K's story with $layers layers" same_story "$stories" --gpu-layers $layers
    done
    for model in $(cd "$shared/models" && draw 1 stories260K-*.gguf); do
        check "$device: the story of $model" same_story "$shared/models/$model" --gpu-layers 9999
    done
    for model in $(cd "$shared/vectors" && draw "$(most 2)" *.gguf); do
        check "$device: the exact logits of $model" near_exact "$shared/vectors/$model" 1e-6
    done
    families
    check "$device: splits of Q4_K" right_splits "$shared/vectors/Q4_K.gguf" 2 40
    long=600
    [ -z "$quick" ] || long=270 # longer than one chunk of keys and values
    check "$device: a long context, in chunks, and exact" same_bits "$shared/vectors/Q8_0.gguf" "$long"
    echo "1..$n"
}

families() {
    [ -e "$shared/families" ] || { skip "$device: families of models" "$shared/families is missing" && return; }
    names='llama llama-bias llama-headdim llama-linear llama-tied llama-yarn mistral3 qwen2 qwen3 gemma phi2 phi3
        phi3-longrope phi3-longrope-short granite internlm2 exaone exaone4 olmo2 glm4 smollm3 stablelm stablelm-12b
        starcoder2 falcon gpt2 command-r gemma2 gemma3 cohere2 olmo3'
    # shellcheck disable=SC2086 # words
    for name in $(draw "$(most 5)" $names); do
        check "$device: the family $name within 1e-5 of llama.cpp" family "$name"
    done
    for lacking in 'llama-moe:a mixture of experts' 'gpt-oss:a mixture of experts' 'deepseek2:a mixture of experts'; do
        check "$device: ${lacking%%:*} is refused, and auto leaves it to the CPU" left_to_the_cpu "${lacking%%:*}" "${lacking#*:}"
    done
    n_tokens=300 # long enough that windows begin in the second chunk
    [ -z "$quick" ] || n_tokens=60
    for name in $(draw 1 gemma2 stablelm); do
        [ $name = gemma2 ] || n_tokens=40
        check "$device: bits of $name do not depend on the batch with --exact" same_bits "$shared/families/$name.gguf" $n_tokens
    done
    [ "$quick" ] ||
        check "$device: splits of gemma3, over chunks of positions" right_splits "$shared/families/gemma3.gguf" 7 300
}

sampled_alike() { # the sampler gets the same logits, except for the last bits
    prompt='Once upon a time there was a girl. She'
    $program "$1" -p "$prompt" -n 24 --seed 7 -q --cpu-isa scalar >"$temporary/want" &&
        $program "$1" -p "$prompt" -n 24 --seed 7 -q --device "$device" >"$temporary/got" || return 1
    cmp "$temporary/got" "$temporary/want"
}

# The tests with the demo model, and of the program's messages.
gpu_suite() {
    demo=${MINICLLM_TEST_MODEL:-models/demo.gguf}
    check 'the measure of errors finds them' tells_errors
    check "$device: the demo model's story is the scalar CPU's" same_story "$demo" --gpu-layers 9999
    check "$device: and with a prompt, sampled" sampled_alike "$demo"
    check "$device: bits do not depend on the batch with --exact, nor on the run" same_bits "$demo" 70
    check "$device: the layers are counted" ends 0 'device: '"$device" "$demo" -n 1 --device "$device"
    check "$device: a device that is not there is told" ends 1 "--device $device: $device has " "$demo" -n 1 \
        --device "$device" --device-index 65535
    check "$device: --gpu-layers 0 is the CPU" cpu_alone "$demo"
    check "$device: memory that is not there is refused with the sum" refuses_what_does_not_fit
    echo "1..$n"
}
