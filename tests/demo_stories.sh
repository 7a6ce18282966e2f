#!/bin/sh
# The demo model tells 200 stories with the default settings, and its grammar must be able to say each of them:
# tests/demo_stories.sh BUILD. tools/demo-model/check_stories.py judges them and prints the figures.
set -u
build=$1 model=models/demo.gguf count=200

echo 1..1
name="$count stories of $model are sound, distinct and not copied"
skip() {
    echo "ok 1 - $name # SKIP $1"
    exit 0
}
command -v python3 >/dev/null || skip "needs python3"
nm "$build/mini-cllm" 2>/dev/null | grep -q __asan_init && skip "too slow under AddressSanitizer"

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
seq $count | xargs -P "$cores" -I SEED sh -c '"$1" "$2" -q -n 500 --threads 1 --seed SEED >"$3/SEED"' sh \
    "$build/mini-cllm" "$model" "$folder" || { echo "not ok 1 - $name (mini-cllm failed)"; exit 1; }
for seed in $(seq $count); do
    cat "$folder/$seed"
    echo ---
done >"$folder/stories"
if python3 tools/demo-model/check_stories.py "$folder/stories" >"$folder/figures" 2>&1; then
    echo "ok 1 - $name"
else
    echo "not ok 1 - $name"
fi
sed 's/^/# /' "$folder/figures"
