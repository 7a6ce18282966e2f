#!/bin/sh
# The Metal driver without a Mac: tests/check_metal.sh BUILD. `make lookalike` builds BUILD/lookalike with
# tests/lookalike, which stands in for Apple's framework. The driver must keep the promises of gpu/driver.h, whatever
# the device is and refuses; the kernels must be right; and the look-alike must report each fault that is planted in
# the driver or in a kernel. Prints TAP.
set -u
. tests/support/checks.sh

[ "$(uname -s)" = Linux ] || skip_all 'the look-alike is for Linux'
missing=''
for tool in clang clang++; do
    command -v $tool >/dev/null || missing=' clang'
done
[ -f "$(gcc -print-file-name=include 2>/dev/null)/objc/objc.h" ] || missing="$missing libobjc-12-dev"
[ -z "$missing" ] || skip_all "not here, by the names of Debian's packages:$missing"

lookalike=$1/lookalike
[ -x "$lookalike/mini-cllm" ] || skip_all "no $lookalike: run make lookalike; a sanitizer has none"
work=$1/metal-faults
mkdir -p "$work" || exit 1
work=$(cd "$work" && pwd) said=$work/said
export MAKEFLAGS='' LOOKALIKE_METAL_FAMILY=7 LOOKALIKE_CACHE="$work/cache"
rm -rf "$LOOKALIKE_CACHE" && mkdir "$LOOKALIKE_CACHE" || exit 1
unset CLLM_METAL_SIMD LOOKALIKE_METAL_FAULT LOOKALIKE_METAL_REVERSE LOOKALIKE_METAL_MEMORY LOOKALIKE_METAL_LARGEST

build() { # FOLDER TARGET [SETTING...]: out of the sources in the folder, into its build-metal
    target=$2 folder=$1
    shift 2
    make -s -C "$folder" LOOKALIKE=1 CC=clang CFLAGS='-O1 -g' WERROR='' SANITIZE='' BUILD=build-metal "$@" \
        "build-metal/$target"
}

# A copy of what the driver is made of, for faults to be planted in.
tree=$work/tree
copy_sources() {
    rm -rf "$tree"
    mkdir -p "$tree/src" "$tree/tests"
    cp -Rp Makefile include "$tree" && cp -Rp src/base src/gpu "$tree/src" && cp -Rp tests/lookalike "$tree/tests"
}
try() { "$tree/build-metal/try_driver" "$@"; }
ends_with() { # TEXT COMMAND...: the last line of the command's output begins with TEXT
    text=$1
    shift
    "$@" >"$work/output" 2>&1
    cat "$work/output"
    tail -n 1 "$work/output" | grep -q "^$text"
}
fine() { ends_with fine env "$@" "$tree/build-metal/try_driver"; }

refused() { # FAULT TEXT: the device's fault is reported, and nothing is left behind
    ends_with "$2" env LOOKALIKE_METAL_FAULT="$1" "$tree/build-metal/try_driver"
}
too_large() {
    ends_with 'Metal gives no buffer of 4000 bytes, with .* and 3000 for the largest' env LOOKALIKE_METAL_LARGEST=3000 "$tree/build-metal/try_driver" &&
        ends_with 'Metal gives no buffer of 4000 bytes, with 3000 left and 4000 for the largest' env LOOKALIKE_METAL_MEMORY=7000 LOOKALIKE_METAL_LARGEST=4000 \
            "$tree/build-metal/try_driver"
}

planted() { # FILE SED TEXT: the look-alike reports TEXT for the changed file, in at least one order of the threads
    cp -p "$tree/$1" "$work/unchanged"
    sed "$2" "$work/unchanged" >"$tree/$1"
    status=1
    if cmp -s "$work/unchanged" "$tree/$1"; then
        echo "nothing was planted by $2"
    elif build "$tree" try_driver; then
        for reversed in 0 1; do
            LOOKALIKE_METAL_REVERSE=$reversed try >"$work/output" 2>&1 && continue
            cat "$work/output"
            grep -q "$3" "$work/output" && status=0
        done
    fi
    cp "$work/unchanged" "$tree/$1" # newer than the object of the changed file, so that make builds it again
    return $status
}

kernel_fault() { # PARAMETERS BODY TEXT: of a kernel
    try "KERNEL(faulty, args, 2, $1) { $2 }
" >"$work/output" 2>&1 && return 1
    cat "$work/output"
    grep -q "$3" "$work/output"
}

keeps_promises() { # SETTING...
    env CMOCKA_MESSAGE_OUTPUT=TAP "$@" "$lookalike/tests/test_gpu_driver" metal || return 1
    grep -q '^# metal: Look-alike of Metal' "$said"
}
right_kernels() { # SETTING...
    for tests in test_gpu_kernels test_gpu_products test_gpu_session test_gpu_spans; do
        env CMOCKA_MESSAGE_OUTPUT=TAP "$@" "$lookalike/tests/$tests" metal || return 1
    done
}

check 'it keeps its promises' keeps_promises A=B
for setting in LOOKALIKE_METAL_REVERSE=1 LOOKALIKE_METAL_FAMILY=5 CLLM_METAL_SIMD=0; do
    check "it keeps its promises with $setting" keeps_promises $setting
done

echo "# drawn by MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"
for setting in $(draw 1 LOOKALIKE_METAL_FAMILY=7 LOOKALIKE_METAL_REVERSE=1 LOOKALIKE_METAL_FAMILY=5); do
    check "the kernels are right with $setting" right_kernels $setting
done

copy_sources
check 'a short program uses the driver' build "$tree" try_driver
check 'it computes what it should' fine A=B
check 'it does in reversed order' fine LOOKALIKE_METAL_REVERSE=1
check 'it does on an older device' fine LOOKALIKE_METAL_FAMILY=5
check 'it does where another device than the default one is to be taken' fine LOOKALIKE_METAL_FAULT=default
check 'it does on an older macOS' fine LOOKALIKE_METAL_FAULT=old
check 'it does where memory is copied' fine LOOKALIKE_METAL_FAULT=nocopy
check 'no device is told' refused device 'Metal finds no GPU'
check 'no queue is told' refused queue 'Metal gives no command queue'
check 'a kernel text that does not compile is told' refused library 'Metal cannot compile.*program_source:7:3: error'
check 'a kernel that makes no pipeline is told' refused pipeline 'Metal cannot make a pipeline'
check 'a kernel that fills the device is told' refused threads 'the GPU runs at most 64 threads'
check 'wide SIMD groups are told' refused width 'the GPU runs the kernel copy in SIMD groups of 64'
check 'commands that fail are told' refused command:3 'the GPU failed: Caused GPU Hang'
check 'memory that ends is told' refused allocate:2 'Metal gives no buffer of 4000 bytes'
check 'buffers too large are told' too_large


# Faults planted in the driver, each by a command of sed.
choose 8 in_driver
in_driver() { # DESCRIPTION COMMAND TEXT
    is_chosen || return 0
    check "found in the driver: $1" planted src/gpu/driver_metal.m "$2" "$3"
}
in_driver 'an encoder that is not ended' \
    's/\[device->encoder endEncoding\];//' 'commit before endEncoding'
in_driver 'commands that are not committed' \
    's/\[device->commands commit\];//' 'waitUntilCompleted before commit'
in_driver 'a wait that is missing' \
    's/\[commands waitUntilCompleted\];//' 'before the work that uses it is waited for'
in_driver 'a buffer that is not released' \
    's/\[metal_buffer(buffer) release\];//' 'leaked at exit: 3 of LookalikeBuffer'
in_driver 'an encoder that is not released' \
    's/\[device->encoder release\];//' 'leaked at exit: .* of LookalikeEncoder'
in_driver 'a pipeline that is not released' \
    's/\[\((id<MTLComputePipelineState>)remove_kernel(.*)\) release\];/\1;/' 'leaked at exit: .* of LookalikePipeline'
in_driver 'a queue that is released twice' \
    's/\[device->queue release\];/& &/' 'a LookalikeQueue is released too often'
in_driver 'commands that are not retained' \
    's/\[\[device->queue commandBuffer\] retain\]/[device->queue commandBuffer]/' 'look-alike: '
in_driver 'no autorelease pool around a launch' \
    '/^static void metal_launch/,/^}/s/@autoreleasepool//' 'without an autorelease pool'
in_driver 'buffers at the wrong index' \
    's/offset:0 atIndex:i\]/offset:0 atIndex:i + 1]/' 'its buffer 0 is not set'
in_driver 'an offset past the end' \
    's/offset:0 atIndex:i\]/offset:1 << 20 atIndex:i]/' 'is not in it'
in_driver 'arguments at the wrong index' \
    's/atIndex:n_buffers\]/atIndex:n_buffers + 1]/' 'its buffer 2 is not set'
in_driver 'arguments cut short' \
    's/length:args_bytes/length:4/' 'has fewer than 8 bytes'
in_driver 'arguments too long' \
    's/length:args_bytes/length:8192/' 'setBytes: of 8192 bytes'
in_driver 'more threads than fit' \
    's/MTLSizeMake(GPU_GROUP, 1, 1)/MTLSizeMake(GPU_GROUP, 16, 1)/' 'more than 1024 threads'
in_driver 'an empty grid' \
    's/groups\[1\], groups\[2\])/groups[1], 0)/' 'a size of 0'
in_driver 'memory that is not whole pages' \
    's|(uintptr_t)bytes / page . page|(uintptr_t)bytes|' 'memory that is not whole pages'
in_driver 'fast math' \
    's/setMathMode:MATH_MODE_SAFE/setMathMode:2/' 'compiled with fast math on'
in_driver 'no language version' \
    's/\[options setLanguageVersion:MTLLanguageVersion2_4\];//' 'no language version'

check 'the driver without faults is back' build "$tree" try_driver
check 'it is fine' fine A=B

# Kernels with a fault. They have the buffers a and b.
in_kernel() { # DESCRIPTION BODY TEXT [PARAMETERS]
    check "found in a kernel: $1" kernel_fault "${4:-BUFFER(uint, a, 0), BUFFER(uint, b, 1)}" "$2" "$3"
}
in_kernel 'a barrier that some threads pass by' \
    'if (THREAD < 40) BARRIER(); a[0] = b[0];' \
    'threads diverge: thread 40 reaches the end of the kernel'
in_kernel 'a sum that some threads do not take part in' \
    'if (THREAD != 70) a[1] = b[0] + SIMD_SUM(1.0f);' \
    'threads diverge: thread 70 reaches the end'
in_kernel 'matrices that are loaded from several places' \
    'simdgroup_float8x8 m; simdgroup_load(m, b + THREAD); a[0] = 1;' \
    'different arguments' 'BUFFER(uint, a, 0), BUFFER(float, b, 1)'
in_kernel 'too much memory for a group' \
    'LOCAL_ARRAY(float, x, 8000); LOCAL_ARRAY(float, y, 200); x[0] = y[0] = b[0]; a[0] = x[0];' \
    'more than 32,768'
in_kernel 'a double' \
    'double x = b[0]; a[0] = x;' \
    'Metal cannot compile the kernels: .*double'
in_kernel 'a double literal' \
    'a[0] = EXP(1.0) + b[0];' \
    'Metal cannot compile the kernels'
in_kernel 'two buffers of one index' \
    'a[0] = b[0];' \
    'two parameters of kernel faulty are buffer 0' 'BUFFER(uint, a, 0), BUFFER(uint, b, 0)'
in_kernel 'a parameter without attribute' \
    'a[0] = b[0];' \
    'has no attribute' 'BUFFER(uint, a, 0), device uint *b'
check 'found in a kernel: a barrier that is missing' \
    planted tests/lookalike/try_driver.c 's/"    BARRIER();.n"//' 'wrong numbers: copy, turn'
check 'found in a kernel: a barrier that is missing after matrices' \
    planted tests/lookalike/try_driver.c '/simdgroup_store/,/BARRIER/s/"    BARRIER();.n"//' 'wrong numbers: matrices'

# With memory checked, in the driver and in the kernels.
build_checked() {
    make -s -C "$tree" LOOKALIKE=1 CC=clang CFLAGS='-O1 -g' WERROR='' SANITIZE=address,undefined BUILD=checked \
        checked/try_driver
}
checked() { # TEXT [KERNELS]
    "$tree/checked/try_driver" ${2:+"$2"} >"$work/output" 2>&1
    cat "$work/output"
    grep -q "$1" "$work/output"
}
has_sanitizer=''
printf '#include <sanitizer/common_interface_defs.h>\nint main() {}\n' |
    clang -fsanitize=address,undefined -x c - -o "$work/sanitized" 2>/dev/null && has_sanitizer=yes
where_sanitized() { # DESCRIPTION COMMAND...
    if [ "$has_sanitizer" ]; then check "$@"; else skip "$1" 'clang has no address sanitizer (Debian: libclang-rt-dev)'; fi
}
where_sanitized 'the driver is built with the address sanitizer' build_checked
where_sanitized 'it touches no memory but its own' checked '^fine'
where_sanitized 'found in a kernel: a buffer that is read past its end' checked 'heap-buffer-overflow' \
    'KERNEL(faulty, args, 2, BUFFER(uint, a, 0), BUFFER(uint, b, 1)) { a[THREAD] = b[1000]; }
'
where_sanitized 'found in a kernel: an array of the group that is read past its end' checked 'global-buffer-overflow' \
    'KERNEL(faulty, args, 2, BUFFER(uint, a, 0), BUFFER(uint, b, 1)) {
        LOCAL_ARRAY(uint, x, 4); x[0] = b[0]; a[0] = x[p.n - 996]; }
'

echo "1..$n"
