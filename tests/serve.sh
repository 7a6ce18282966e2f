#!/bin/sh
# mini-cllm serve: tests/serve.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

serving "$any" --chat-template chatml
adopt python3 tests/serve_openai.py "$url"
serving_ends
check 'SIGTERM: exit 143' exits 143

# infill, with tokens of single bytes as its marks
mkdir "$temporary/slots"
gap=tokenizer.ggml.fim_
serving "$any" --chat-template chatml --ctx 1024 --parallel 2 --slot-save-path "$temporary/slots" --override-kv \
    ${gap}pre_token_id=int:5,${gap}suf_token_id=int:6,${gap}mid_token_id=int:7,${gap}rep_token_id=int:8,${gap}sep_token_id=int:9
adopt python3 tests/serve_llama.py "$url" "$temporary/slots" "$program" "$any"
serving_ends
adopt sh tests/serve_flags.sh "$1"

serving "$any" --chat-template tests/support/agent.jinja --ctx 4096
adopt python3 tests/serve_responses.py "$url"
check 'Responses: a line for each tool that is left out' grep -qF "tools[1]: a tool of the type 'web_search' is ignored" "$log"
check 'Responses: a line for each item that is left out' grep -qF "input[4]: an item of the type 'item_of_tomorrow' is ignored" "$log"
serving_ends

# many clients, and few pages for them
clients=32
[ -z "${SANITIZE:-}" ] || clients=8
serving "$any" --ctx 1024 --parallel 8 --kv-unified --cache-ram 1
adopt python3 tests/serve_bits.py "$url" "$program" "$any" $clients --ctx 1024
serving_ends

serving "$any" --chat-template tests/support/agent.jinja --ctx 2048 --api-key secret
adopt python3 tests/serve_anthropic.py "$url" secret
serving_ends

serving "$any" --chat-template tests/support/agent.jinja --ctx 4096 --api-key secret
adopt python3 tests/serve_agents.py "$url" secret
serving_ends

set -- # the marks of infill are tokens that the test's texts do not contain
for mark in pre=508 suf=509 mid=510; do set -- "$@" --override "tokenizer.ggml.fim_${mark%=*}_token_id=int:${mark#*=}"; done
serving "$any" --chat-template tests/support/ollama.jinja "$@"
adopt python3 tests/serve_ollama.py "$url"
serving_ends
check 'after requests of ollama: exit 143' exits 143

# an encoder, with a classifier made here
encoder=$shared/families2/bert.gguf
if [ -r "$encoder" ] && python3 tests/support/make_ranker.py "$encoder" "$temporary/ranker.gguf" &&
    python3 tests/support/make_ranker.py "$encoder" "$temporary/nan.gguf" nan; then
    ends=tokenizer.ggml.add_eos_token=bool:true
    for kind in embed none rank nan; do
        pooling=$kind model=$temporary/ranker.gguf
        case $kind in embed) pooling=model ;; nan) pooling=rank model=$temporary/nan.gguf ;; esac
        serving "$model" --pooling $pooling --override $ends
        adopt python3 tests/serve_embed.py "$url" $kind "$program" "$model" --override $ends
        serving_ends
        check "after requests to an encoder, $kind: exit 143" exits 143
    done
else
    skip 'vectors of an encoder' "$encoder is missing"
fi

# recurrent layers, beside attention and alone
for name in qwen35 mamba2; do
    recurrent=$shared/families2/$name.gguf
    if [ -r "$recurrent" ]; then
        serving "$recurrent" --chat-template chatml -v
        adopt python3 tests/serve_states.py "$url" $name "$log"
        serving_ends
    else
        skip "turns of $name" "$recurrent is missing"
    fi
done

# a server of pulled models, beside a server that plays the Hub
python3 tests/hub_server.py "$any" "$temporary/hub" >"$temporary/ports" &
hub=$!
await [ -s "$temporary/ports" ]
export HF_ENDPOINT="http://127.0.0.1:$(cut -d ' ' -f 1 "$temporary/ports")" MINI_CLLM_MODELS="$temporary/models" HF_HOME="$temporary/hf_home"
unset HF_TOKEN HF_TOKEN_PATH HF_HUB_CACHE HF_HUB_OFFLINE
serving
adopt python3 tests/serve_ollama_pull.py "$url"
serving_ends
check 'after pulls: exit 143' exits 143
kill "$hub"
finish
