#!/bin/sh
# CUDA without a GPU: tests/check_cuda.sh BUILD. The driver runs with look-alikes of NVIDIA's libraries
# (tests/lookalike_cuda). Copies of the driver with planted faults run too, and a test must catch each fault. Prints
# TAP.
set -u
build=$1
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the look-alike of CUDA is not for a sanitizer: $SANITIZE"

lookalike=$build/lookalike_cuda
work=$(mktemp -d)
said=$work/said
trap 'rm -rf "$work"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP OCL_ICD_VENDORS=/nonexistent

alike() { LD_LIBRARY_PATH=$lookalike "$@"; }

# --------------------------------------------------------------------------------------- the driver as it is

passes() { # PROGRAM: passes with threads in rising and in falling order, and really used the look-alike
    alike "$@" && LOOKALIKE_CUDA_REVERSE=1 alike "$@"
}
contract() { passes "$build/tests/test_gpu_driver" && grep -q '^# cuda: Look-alike' "$said"; }
right() {
    for tests in test_gpu_kernels test_gpu_products test_gpu_session test_gpu_spans; do alike "$build/tests/$tests" cuda || return 1; done
}
stays_out() { [ -d "$build/staged" ] && ! find "$build/staged" | grep -i -e lookalike -e libcuda -e libnvrtc; }

# ------------------------------------------------------------------------------------------ changed drivers

# Compile a copy of the driver in which SED changed something, and link the tests with it as $work/NAME.
copy() { # SED NAME...
    sed_script=$1
    shift
    rm -rf "$work/gpu" && mkdir "$work/gpu" || return 1
    changed=''
    for file in driver_cuda.c cuda_api.h driver_common.h; do
        sed -e "$sed_script" "src/gpu/$file" >"$work/gpu/$file" || return 1
        cmp -s "src/gpu/$file" "$work/gpu/$file" || changed=$file
    done
    if [ -z "$changed" ]; then
        echo 'nothing is changed: does the driver still have this line?'
        return 1
    fi
    # shellcheck disable=SC2046,SC2086 # lists of words
    for name in "$@"; do
        object=$build/obj/tests/$name.o
        [ "$name" = check_driver ] && object=$build/obj/tests/lookalike_cuda/$name.o
        ${CC:-cc} -std=c17 -D_POSIX_C_SOURCE=200809L -w -O1 ${SANITIZE:+-fsanitize=$SANITIZE} -ffp-contract=off -I"$work" \
            -Iinclude -Isrc "$work/gpu/driver_cuda.c" "$object" "$build"/obj/tests/support/*.o "$build/internal.a" \
            $(pkg-config --libs cmocka) -lm -pthread -o "$work/$name" || return 1
    done
}

says() { # SED MESSAGE: opening the device fails with this message
    copy "$1" check_driver || return 1
    alike "$work/check_driver" kernels 0 2>"$work/stderr"
    cat "$work/stderr"
    grep -qF "$2" "$work/stderr"
}
without_graphs() {
    copy 's/cuGraphLaunch, cuGraphLaunch/cuGraphLaunch, cuNoGraphLaunch/' check_driver test_gpu_driver || return 1
    passes "$work/test_gpu_driver" && passes "$work/check_driver" more_launches_than_are_recorded
}

# Does the test of check_driver, or a program as a whole, catch the change? The output of the changed copy does not
# matter.
caught() { # SED TEST-OR-PROGRAM
    program=check_driver
    [ "$2" = test_gpu_driver ] && program=test_gpu_driver
    copy "$1" $program || return 1
    if [ $program = "$2" ]; then set -- "$1"; else set -- "$1" "$2"; fi
    shift
    if alike "$work/$program" "$@"; then return 1; fi
    grep -q -e 'not ok [1-9][0-9]* - ' -e '^look-alike: ' "$said"
}
plant() { # WHAT SED TEST-OR-PROGRAM
    is_chosen || return 0
    check "caught: $1" caught "$2" "$3"
}
in_function() { printf '%s\n' "/^[a-z].* \**$1(/,/^}/{ $2;}"; } # NAME SED

planted_faults() {
    choose 12 plant
    plant 'memory that is not cleared' 's/cuMemsetD8Async(address, 0/cuMemsetD8Async(address, 1/' test_gpu_driver
    plant 'work in another stream' "$(in_function make_buffer 's/device->stream/NULL/')" test_gpu_driver
    plant 'a write that does not wait' "$(in_function cuda_write '/finish(device)/d')" bytes_may_change_after_a_write
    plant 'a write before the launches it follows' "$(in_function cuda_write '/flush(device)/d')" \
        bytes_may_change_after_a_write
    plant 'reading that does not wait' "$(in_function cuda_read '/finish(device)/d')" steps_that_repeat_become_graphs
    plant 'waiting without submitting' "$(in_function finish '/flush(device)/d')" a_failure_is_told_for_good
    plant 'releasing what is in use' "$(in_function cuda_release '/finish(device)/d')" buffers_may_be_released_unused
    plant 'memory that is not released' "$(in_function cuda_release '/cuMemFree/d')" buffers_may_be_released_unused
    plant 'graphs that are too eager' 's/a->n \* sizeof(launch)/8/' steps_that_differ_in_one_thing_are_told_apart
    plant 'graphs of another length' 's/a->n == b->n && //' a_list_may_begin_another
    plant 'no graphs' 's/list->n > 1 && device->has_graphs/false/' steps_that_repeat_become_graphs
    plant 'graphs of one launch' 's/list->n > 1 && //' steps_that_repeat_become_graphs
    plant 'forgetting what was used last' 's/launch_list \*found/if (!is_same(lists[i], recorded)) i = 1; &/' \
        what_is_used_most_stays_a_graph
    plant 'a graph destroyed while it runs' "$(in_function destroy_graph '/cuStreamSynchronize/d')" graphs_come_and_go
    plant 'a graph that is kept for another list' "$(in_function destroy_graph '/list->graph = NULL/d')" graphs_come_and_go
    plant 'a graph that leaks' '/if (graph) cuda->cuGraphDestroy/d' graphs_come_and_go
    plant 'an executable graph that leaks' '/cuGraphExecDestroy(list/d' graphs_come_and_go
    plant 'waiting while capturing' 's/i < list->n && result == CUDA_SUCCESS; i++)/& cuda->cuStreamSynchronize(device->stream),/' \
        steps_that_repeat_become_graphs
    plant 'forbidding other threads to allocate' 's/device->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL/device->stream, 0/' \
        steps_that_repeat_become_graphs
    plant 'trying for graphs for ever' "$(in_function make_graph '/has_graphs = result/d')" without_graphs_the_same_comes_out
    plant 'a context left behind' '/if (device->entered) TRY/d' the_current_context_is_left_alone
    plant 'a context not entered' "$(in_function enter 's/TRY.*;/true;/')" a_device_may_go_from_thread_to_thread
    plant 'a context that leaks' '/cuDevicePrimaryCtxRelease(device/d' graphs_come_and_go
    plant 'kernels that leak' '/cuModuleUnload(device/d' graphs_come_and_go
    plant 'a stream that leaks' '/cuStreamDestroy(device/d' graphs_come_and_go
    plant 'a program of NVRTC that leaks' '/nvrtcDestroyProgram(&/d' graphs_come_and_go
    plant 'an error that is forgotten' 's/error_set(&device->failure,/error_set(NULL,/' a_failure_is_told_for_good
    plant 'a later error in place of the first' 's/CUDA_SUCCESS || device->failure.status)/CUDA_SUCCESS)/' \
        a_launch_that_is_refused_is_named
    plant 'no memory left, for good' "$(in_function make_buffer '/device->failure = before/d')" \
        memory_that_is_not_there_is_refused_and_no_more
    plant 'a kernel with too few threads' 's/most_threads < GPU_GROUP/false/' what_fails_is_told
    plant 'a parameter that is missing' '/= l->args;/d' steps_that_repeat_become_graphs
    plant 'groups by the wrong dimension' 's/l->groups\[0\], l->groups\[1\]/l->groups[1], l->groups[0]/' test_gpu_driver
    plant 'fused multiplication' 's/, "--fmad=false"//' test_gpu_driver
    plant 'machine code for another device' 's/bool own = .*;/bool own = true;/' each_architecture_has_what_it_can
    plant 'matrices where there are none' 's/architecture >= 80/architecture >= 70/' each_architecture_has_what_it_can
    plant 'the wrong line of the log' 's/strstr(\*said, "error")/NULL/' what_fails_is_told
    plant 'the first device in any case' 's/cuDeviceGet(ordinal, (int)index)/cuDeviceGet(ordinal, 0)/' \
        a_device_is_taken_by_its_number
}

# -------------------------------------------------------------------------- what the look-alike makes of kernels

tries() { # BODY: run a kernel on one buffer of 250 numbers
    {
        printf '#define GROUP 128\n#define TEAM 32\n#define SIMD 1\n#define MATRICES 0\n'
        cat src/gpu/dialect.h
        printf 'typedef struct { uint n; } try_args;\nKERNEL(try_, try_args, 1, BUFFER(uint, x, 0)) {\n%s\n}\n' "$1"
    } >"$work/try.cu"
    alike "$lookalike/check_driver" launch "$work/try.cu"
}
ends_with() { # MESSAGE BODY
    ! tries "$2" && grep -qF "$1" "$said"
}
needs_a_barrier() { # BODY
    tries "$1" >"$work/forwards" && LOOKALIKE_CUDA_REVERSE=1 tries "$1" >"$work/backwards" || return 1
    ! cmp "$work/forwards" "$work/backwards"
}
is_rubbish() { tries 'LOCAL_ARRAY(uint, y, 128); if (GROUP_X * 128 + THREAD == 128) x[0] = y[3]; BARRIER(); y[3] = 1;' && grep -qx 4294967295 "$said"; }

# ---------------------------------------------------------------------------------------------------------------

[ -e "$lookalike/libcuda.so.1" ] || skip_all 'the look-alike of CUDA is made for Linux alone'
command -v "${LOOKALIKE_CXX:-clang++}" >"$said" || skip_all 'the look-alike of CUDA needs clang++ (Debian: clang)'
echo "# drawn by MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"
check 'no look-alike is installed' stays_out
check 'the driver does all that it alone promises' passes "$lookalike/check_driver"
check 'the driver does all that every driver promises' contract
check 'without graphs as well' without_graphs
check 'kernels and sessions are right' right
check 'a missing libcuda is told' says 's/libcuda\.so\.1"/libabsent.so.1"/' \
    "no CUDA: libcuda.so.1, the NVIDIA driver's library, is missing"
check 'a missing NVRTC is told' says 's/libnvrtc\.so/libabsent.so/g' 'libnvrtc, which compiles the kernels for CUDA, is missing'
check 'an old libcuda is told' says 's/cuMemGetInfo_v2/cuMemGetInfo_v9/' 'libcuda.so.1 lacks cuMemGetInfo_v9'
check 'an old NVRTC is told' says 's/nvrtcGetCUBIN, nvrtcGetCUBIN/nvrtcGetCUBIN, nvrtcGetNoCUBIN/' 'libnvrtc lacks nvrtcGetNoCUBIN'
planted_faults
check 'caught: a kernel without a barrier' needs_a_barrier \
    'LOCAL_ARRAY(uint, y, 128); y[THREAD] = THREAD; x[THREAD] = y[127 - THREAD];'
check 'caught: a barrier that some threads reach' ends_with 'threads diverge' 'if (THREAD < 7) BARRIER(); x[0] = 1;'
check 'caught: a write just past a buffer' ends_with 'writes past an allocation of 1000 bytes' 'x[p.n] = 1;'
check 'caught: a write just before a buffer' ends_with 'writes before an allocation of 1000 bytes' '*(x - 1) = 1;'
for distance in 2000 200000 8000000; do
    check "caught: a write $distance numbers past a buffer" ends_with 'memory is touched that is none of' "x[p.n + $distance] = 1;"
    check "caught: a write $distance numbers before a buffer" ends_with 'memory is touched that is none of' "*(x - $distance) = 1;"
done
check 'caught: shared memory used as it is' is_rubbish
echo "1..$n"
