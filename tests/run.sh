#!/bin/sh
# Run every test and count: tests/run.sh BUILD, from the top of the repository (`make test` does).
#
# A test is a cmocka program, made of tests/test_*.c or tests/check_kernels.c (which check_avx512_model is made of as well),
# or another shell script tests/*.sh, which gets BUILD as its argument. All print TAP (https://testanything.org). One that
# prints no plan, falls short of it, dies, or runs past TEST_SECONDS counts as a failure. The last line is "N passed, N
# failed, N skipped", and the exit status is 0 if some passed and none failed.
set -u

# run.sh --one TEST RESULTS BUILD, as called below: run one test, keep its output and its counts in the folder RESULTS.
if [ "${1:-}" = --one ]; then
    name=${2##*/} results=$3 log=$3/${2##*/}.log
    case $2 in
    *.sh) set -- sh "$2" "$4" ;;
    *) set -- "$2" ;;
    esac
    begin=$(date +%s)
    # the alarm outlives exec and ends the program: timeout(1), where there is none
    CMOCKA_MESSAGE_OUTPUT=TAP perl -e 'alarm shift; exec @ARGV or exit 127' "$TEST_SECONDS" "$@" \
        >"$log" 2>&1 </dev/null
    status=$?
    seconds=$(($(date +%s) - begin))
    # cmocka 1.1 says "not ok 3 # SKIP name" where TAP has "ok 3 name # SKIP"
    awk -v name="$name" -v status=$status -v seconds=$seconds -v limit="$TEST_SECONDS" '
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
            printf "%-6s %-22s %4d passed %3d failed %3d skipped %4d s%s\n", failed ? "FAILED" : "ok", name, passed,
                failed, skipped, seconds, fault ? "  " fault : "" > "/dev/stderr"
        }' "$log" 2>"$results/$name.line" >"$results/$name.counts"
    cat "$results/$name.line"
    exit 0
fi

build=${1:?usage: tests/run.sh BUILD}
export LC_ALL=C TEST_SECONDS="${TEST_SECONDS:-600}"
# Under AddressSanitizer a crash ends the program with a report, instead of reaching cmocka's handler.
export ASAN_OPTIONS="handle_segv=2:${ASAN_OPTIONS:-}"
results=$build/test-results
rm -rf "$results" && mkdir -p "$results" || exit 1
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

tests=''
for source in tests/test_*.c tests/check_kernels.c tests/*.sh; do
    [ -f "$source" ] || continue
    name=$(basename "$source" .c)
    case $source in
    tests/run.sh) ;;
    *.sh) tests="$tests $source" ;;
    tests/check_kernels.c) tests="$tests $build/$name $build/check_avx512_model" ;;
    *) tests="$tests $build/tests/$name" ;;
    esac
done
# shellcheck disable=SC2086 # a list of words; no path here has a space
set -- $tests
printf '%s\n' "$@" | xargs -P "$cores" -I TEST sh "$0" --one TEST "$results" "$build"

for counts in "$results"/*.counts; do
    case $(cat "$counts") in
    *" 0 "*) continue ;;
    esac
    echo
    echo "---- ${counts%.counts}.log"
    cat "${counts%.counts}.log"
done

if grep -qv ' 0$' "$results"/*.counts; then
    echo
    echo "Skipped tests need what is not here; most want reference data in \$MINICLLM_SHARED or ../shared. Reasons are in $results."
fi
cat "$results"/*.counts | awk -v tests=$# '
    { passed += $1; failed += $2; skipped += $3 }
    END { failed += tests - NR # those that left no counts
          printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed || !passed }'
