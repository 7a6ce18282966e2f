#!/bin/sh
# MaskBench's schemas: how many are enforced, and that instances are judged right: tests/check_maskbench.sh BUILD,
# from the top of the repository. bench/maskbench measures the speed.
set -u
said=$(mktemp) folder=$(mktemp -d)
trap 'rm -rf "$said" "$folder"' EXIT
. tests/support/checks.sh

build=$1 shared=${MINICLLM_SHARED:-../shared}
sample=$shared/maskbench/sample.tar.gz vocabulary=$shared/vocab/ggml-vocab-llama-bpe.gguf
[ -z "${SANITIZE:-}" ] || skip_all 'it takes too long under a sanitizer'
[ -e "$sample" ] && [ -e "$vocabulary" ] || skip_all "$sample or $vocabulary is missing"

# the number that stands before these words in the result
number() { sed -n "s/.*[^0-9.]\([0-9.]*\)$1.*/\1/p" "$folder/result"; }
enough() { cat "$folder/result" && awk "BEGIN { exit !($(number '%') >= 84) }"; }
few_refused() { cat "$folder/result" && [ "$(number ' refuse a valid')" -le 4 ]; }
none() { cat "$folder/result" && [ "$(number "$1")" = 0 ]; }

tar -xzf "$sample" -C "$folder" && "$build/tests/maskbench" "$folder/maskbench" "$vocabulary" 2>/dev/null | head -n 1 >"$folder/result"
sed 's/^/# /' "$folder/result"
check 'at least 84% of the schemas pass' enough
check 'at most 0.2% refuse a valid instance' few_refused
check 'none accepts an invalid instance' none ' accept an invalid'
check 'none fails in use' none ' fail'
echo "1..$n"
