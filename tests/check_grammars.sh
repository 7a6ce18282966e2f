#!/bin/sh
# What models write by the grammars of tests/grammars.jsonl fits these grammars, according to python3-jsonschema and
# Python's regular expressions: tests/check_grammars.sh BUILD, from the top of the repository. A run takes a few
# random seeds, chosen by MINICLLM_TEST_SEED, or 1,000 if MINICLLM_TEST_LONG is 1.
set -u
said=$(mktemp) texts=$(mktemp)
trap 'rm -f "$said" "$texts"' EXIT
. tests/support/checks.sh

python=''
for one in python3 /usr/bin/python3; do
    [ "$python" ] || ! "$one" -c 'import jsonschema' 2>/dev/null || python=$one
done
[ "$python" ] || skip_all 'python3-jsonschema is missing: run scripts/setup test'

# judged MODEL N_SEEDS
judged() {
    "$build/tests/write_by_grammar" "$1" tests/grammars.jsonl "$first" "$2" >"$texts" && "$python" tests/support/judge_grammars.py tests/grammars.jsonl <"$texts"
}

build=$1 first=$((MINICLLM_TEST_SEED % 1000000)) n_seeds=24
[ -z "${SANITIZE:-}" ] || n_seeds=4
[ "${MINICLLM_TEST_LONG:-}" != 1 ] || { n_seeds=1000 && first=0; }
echo "# seeds from $first on, by MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"
check "models/demo.gguf: $n_seeds seeds" judged models/demo.gguf $n_seeds
cat "$said" | sed 's/^/# /'
stories=${MINICLLM_SHARED:-../shared}/models/stories260K.gguf
if [ -e "$stories" ]; then check "stories260K: $n_seeds seeds" judged "$stories" $n_seeds; else skip stories260K "$stories is missing"; fi
smollm2=${MINICLLM_PUBLISHED:-build/published}/smollm2.gguf
[ "$n_seeds" = 1000 ] || n_seeds=2
if [ -n "${SANITIZE:-}" ]; then
    skip SmolLM2 'it takes too long under a sanitizer'
elif [ -e "$smollm2" ]; then
    check "SmolLM2: $n_seeds seeds" judged "$smollm2" $n_seeds
else
    skip SmolLM2 "$smollm2 is missing"
fi

# the judge finds a text that is not allowed
printf '{"grammar": 0, "seed": 0, "unfinished": false, "text": "{\\"name\\": \\"\\", \\"age\\": 7}"}\n' >"$texts"
judges_it() { ! "$python" tests/support/judge_grammars.py tests/grammars.jsonl <"$texts" && grep -q '0 unfinished, 1 wrong' "$said"; }
check 'a text that is not valid is found' judges_it
echo "1..$n"
