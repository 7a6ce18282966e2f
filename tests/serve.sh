#!/bin/sh
# mini-cllm serve: tests/serve.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

# adopt COMMAND...: the checks of a script that prints TAP, as ours
adopt() {
    "$@" >"$temporary/tap" 2>&1
    while IFS= read -r line; do
        case $line in
        ok\ *) tests=$((tests + 1)) && echo "ok $tests - ${line#*- }" ;;
        not\ ok\ *) tests=$((tests + 1)) failures=$((failures + 1)) && echo "not ok $tests - ${line#*- }" ;;
        1..*) ;;
        *) echo "# $line" ;;
        esac
    done <"$temporary/tap"
    grep -q '^1\.\.' "$temporary/tap" || check "$* came to its end" false
}

serving "$any" --chat-template chatml
adopt python3 tests/serve_openai.py "$url"
serving_ends
check 'SIGTERM: exit 143' exits 143
# bytes as the marks of gaps
mkdir "$temporary/slots"
gap=tokenizer.ggml.fim_
serving "$any" --chat-template chatml --ctx 1024 --parallel 2 --slot-save-path "$temporary/slots" --override-kv \
    ${gap}pre_token_id=int:5,${gap}suf_token_id=int:6,${gap}mid_token_id=int:7,${gap}rep_token_id=int:8,${gap}sep_token_id=int:9
adopt python3 tests/serve_llama.py "$url" "$temporary/slots" "$program" "$any"
serving_ends
adopt sh tests/serve_flags.sh "$1"
finish
