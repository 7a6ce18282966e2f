#!/bin/sh
# Make models/demo.gguf anew: stories from the grammar, a tokenizer, training, quantizing, a check.
#
#   tools/demo-model/remake.sh [OUT.gguf]
#
# Needs Debian's python3-torch, python3-numpy and libopenblas0 (PyTorch is many times slower
# without the last one). On two cores it takes under an hour. An interrupted run goes on
# from its last checkpoint with RESUME=1. BUILD names the folder for the work (default: build/demo-model).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/models/demo.gguf}
build=${BUILD:-$root/build/demo-model}
python=${PYTHON:-/usr/bin/python3}
threads=${THREADS:-2}

if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    echo "remake.sh: $python has no torch and numpy; on Debian install them with" >&2
    echo "    apt-get install --no-install-recommends python3-torch python3-numpy libopenblas0" >&2
    echo "or name another Python 3 that has them: PYTHON=/path/to/python3 $0" >&2
    exit 1
fi

# Keep the memory of freed tensors. Otherwise the kernel must clear new pages at every step.
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_ARENA_MAX=2
# A thread that waits for the other one sleeps. This is much faster if another program uses a core, too.
export OMP_WAIT_POLICY=passive
export PYTHONDONTWRITEBYTECODE=1

mkdir -p "$build" "$(dirname "$out")"
"$python" "$here/train.py" "$build" --threads "$threads" ${RESUME:+--resume}
"$python" "$here/export.py" "$build" "$out"

for settings in "--top-k 40 --top-p 0.9" "--top-k 0 --top-p 1"; do
    echo "200 stories at temperature 0.8 $settings"
    # shellcheck disable=SC2086  # the settings are several words
    "$python" "$here/sample.py" "$out" --count 200 --temperature 0.8 $settings --threads "$threads" > "$build/stories.txt"
    "$python" "$here/check_stories.py" "$build/stories.txt"
done
