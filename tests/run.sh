#!/bin/sh
# Runs every test and counts: tests/run.sh BUILD, from the top of the repository (`make test` does this).
#
# A test is a cmocka program, made from tests/test_*.c or tests/check_kernels.c (check_avx512_model is made from it,
# too), or another shell script tests/*.sh, which gets BUILD as its argument. All print TAP
# (https://testanything.org). A test that prints no plan, prints fewer results than planned, dies, or runs longer
# than TEST_SECONDS counts as a failure. The last line is "N passed, N failed, N skipped", and the exit status is 0
# if some passed and none failed.
#
# The longest tests start first, by their seconds in the last run. AGAIN=1 leaves out the tests that have passed
# since they were built, with nothing skipped. A test with too many cases draws some of them by MINICLLM_TEST_SEED,
# or runs all if MINICLLM_TEST_LONG is 1.
set -u

# run.sh --one TEST RESULTS BUILD, as called below: run one test, keep its output and its counts in the folder RESULTS.
if [ "${1:-}" = --one ]; then
    name=${2##*/} results=$3 log=$3/${2##*/}.log
    case $2 in
    *.sh) set -- sh "$2" "$4" ;;
    *) set -- "$2" ;;
    esac
    begin=$(date +%s)
    # the alarm still works after exec and ends the program; this replaces timeout(1), which some systems lack
    CMOCKA_MESSAGE_OUTPUT=TAP perl -e 'alarm shift; exec @ARGV or exit 127' "$TEST_SECONDS" "$@" \
        >"$log" 2>&1 </dev/null
    status=$?
    seconds=$(($(date +%s) - begin))
    times >"$results/$name.times" # its second line is for the test: minutes and seconds in user code and in the system
    cpu=$(awk -F '[ms ]+' 'NR == 2 { print int(60 * $1 + $2 + 60 * $3 + $4 + 0.5) }' "$results/$name.times")
    # cmocka 1.1 says "not ok 3 # SKIP name" where TAP has "ok 3 name # SKIP"
    awk -v name="$name" -v status=$status -v seconds=$seconds -v cpu="$cpu" -v limit="$TEST_SECONDS" '
        /^1\.\.[0-9]+/ { plans++; planned += substr($1, 4); if ($1 == "1..0") skipped++; next }
        /^(not )?ok [0-9]+.*# [Ss][Kk][Ii][Pp]/ { seen++; skipped++; next }
        /^ok [0-9]+/ { seen++; passed++ }
        /^not ok [1-9]/ { seen++; failed++ }
        END {
            if (status == 142) fault = "did not end within " limit " s"
            else if (status > 128) fault = "died of signal " status - 128
            else if (!plans) fault = "printed no plan"
            else if (seen < planned) fault = "stopped after " seen + 0 " of " planned " tests"
            else if (seen > planned) fault = "ran " seen " tests where " planned + 0 " were planned"
            else if (status && !failed) fault = "exited with status " status
            if (fault) failed++
            printf "%d %d %d\n", passed, failed, skipped
            printf "%-6s %-22s %4d passed %3d failed %3d skipped %4d s, of CPU %4d s%s\n", failed ? "FAILED" : "ok",
                name, passed, failed, skipped, seconds, cpu, fault ? "  " fault : "" > "/dev/stderr"
        }' "$log" 2>"$results/$name.line" >"$results/$name.counts"
    echo "$seconds" >"$results/$name.seconds"
    cat "$results/$name.line"
    exit 0
fi

build=${1:?usage: tests/run.sh BUILD}
export LC_ALL=C TEST_SECONDS="${TEST_SECONDS:-1500}" # a limit for what hangs
# Under AddressSanitizer a crash ends the program with a report, instead of reaching cmocka's handler.
export ASAN_OPTIONS="handle_segv=2:${ASAN_OPTIONS:-}"
export MINICLLM_TEST_SEED="${MINICLLM_TEST_SEED:-$(date +%s)}"
# PoCL takes seconds to compile a kernel, and caches the result. All builds here share the cache, those with sanitizers
# too.
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-$PWD/build/pocl}"
results=$build/test-results
mkdir -p "$results" "$POCL_CACHE_DIR" || exit 1
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# A container may get less CPU time than it has cores. With too many tests at once, each would exceed its time limit.
if { read -r quota period </sys/fs/cgroup/cpu.max; } 2>/dev/null && [ "$quota" != max ]; then
    quota=$(((quota + period - 1) / period))
    [ "$cores" -le "$quota" ] || cores=$quota
fi

# whole TEST: has it passed since anything here was changed or built, with nothing skipped?
whole() {
    counts=$results/${1##*/}.counts
    [ "${AGAIN:-}" ] && [ "${MINICLLM_TEST_LONG:-}" != 1 ] && grep -qsx '[1-9][0-9]* 0 0' "$counts" &&
        [ "$counts" -nt "$1" ] && [ "$counts" -nt "$build/mini-cllm" ] &&
        [ -z "$(find src programs include tests models docs -newer "$counts" | head -n 1)" ]
}

tests='' n_whole=0 n_before=0
for source in tests/test_*.c tests/check_kernels.c tests/*.sh; do
    [ -f "$source" ] || continue
    name=$(basename "$source" .c)
    case $source in
    tests/run.sh) continue ;;
    *.sh) these=$source ;;
    tests/check_kernels.c) these="$build/$name $build/check_avx512_model" ;;
    *) these=$build/tests/$name ;;
    esac
    for test in $these; do
        if whole "$test"; then
            read -r p f s <"$counts"
            n_whole=$((n_whole + 1)) n_before=$((n_before + p))
        else
            tests="$tests $test"
        fi
    done
done

# Tests that are known to take long, the longest first. This is used if no times of an earlier run are known.
longest='check_metal.sh check_gpu_opencl_models.sh check_gpu_cuda_models.sh check_cuda.sh
    check_arm.sh check_pull.sh check_openapi.sh serve.sh check_avx512_model test_gpu_products test_gpu_session test_company test_gpu_spans check_kernels cli.sh demo_stories.sh check_kernel_text.sh
    check_threads.sh check_web.sh'
guess() { # NAME
    seconds=9999
    for known in $longest; do
        seconds=$((seconds - 1))
        [ "$known" != "$1" ] || { echo $seconds && return; }
    done
    echo 0
}
in_order() { # prints the tests of standard input, the longest first
    while read -r test; do
        echo "$(cat "$results/${test##*/}.seconds" 2>/dev/null || guess "${test##*/}") $test"
    done | sort -s -k 1,1nr | cut -d ' ' -f 2
}

# shellcheck disable=SC2086 # a list of words; no path here has a space
set -- $tests
for test; do rm -f "$results/${test##*/}.counts"; done
echo "MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"
printf '%s\n' "$@" | in_order | xargs -P "$cores" -I TEST sh "$0" --one TEST "$results" "$build"

passed=0 failed=0 skipped=0
for test; do
    ran=$results/${test##*/}
    if ! [ -s "$ran.counts" ]; then
        echo "FAILED ${test##*/} left no counts"
        failed=$((failed + 1))
        continue
    fi
    read -r p f s <"$ran.counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" = 0 ] || { echo && echo "---- $ran.log" && cat "$ran.log"; }
done

[ $n_whole = 0 ] || printf '\n%d tests of %d programs had passed before, and are not counted again.\n' $n_before $n_whole
if [ $skipped != 0 ]; then
    echo
    echo "Skipped tests need what is not here: a GPU, tools that 'scripts/setup ci' brings, or reference data in \$MINICLLM_SHARED or"
    echo "../shared. The reasons are in $results/*.log."
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && { [ $passed != 0 ] || [ $# = 0 ]; }
