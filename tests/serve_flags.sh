#!/bin/sh
# llama-server's flags and variables, as mini-cllm serve understands them: tests/serve_flags.sh BUILD, from the top
# of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0
unset LLAMA_API_KEY

# started OPTION...: starts the server and waits until it is ready; its log is in $log. ended: kills it.
started() { serving --chat-template chatml "$@"; }
ended() { serving_ends KILL 2>/dev/null; }
logs() { grep -qF -- "$1" "$log"; }
answers() { # PATH TEXT...: are these in the answer?
    path=$1
    shift
    python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())' "$url$path" >"$out" 2>/dev/null
    for text in "$@"; do prints "$text" || return 1; done
}
# asks PATH BODY: in $out the answer's status and text
asks() { python3 -c '
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"})
try: answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as e: answer = e
print(answer.status, answer.read().decode())' "$url$1" "$2" >"$out"; }
# seed_of MEMBERS: the seed of a request with these members
seed_of() {
    asks /v1/completions '{"prompt": "a", "max_tokens": 1'"$1"'}'
    sed -n 's/.*"seed": *\([0-9]*\).*/\1/p' "$out"
}
fresh_seeds() { # MEMBERS: does each request with these members get another seed?
    one=$(seed_of "$1")
    another=$(seed_of "$1")
    [ "$one" ] && [ "$another" ] && [ "$one" != "$another" ]
}
status_of() { python3 -c '
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
try: print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as e: print(e.code)' "$url$1" "${2:-none}"; }

# as people start it
started -m "$any" -np 2 -c 1024 -fa on -ctk q8_0 -ctv q8_0 --jinja -b 2048 -ub 64 -cb --mlock --metrics -t 2 -n 5 -a one,two --temp 0.25 -v -s 5
check 'short options of several letters: slots, context, types' eval 'logs "context 512 tokens for each, 2 requests at a time" && logs "batches of 64, q8_0 keys"'
check 'what has no effect is noted, a line each' eval 'logs "-fa has no effect here" && logs "--jinja has no effect here" && logs "-cb has no effect here" &&
    logs "--mlock has no effect here" && logs "--metrics has no effect here: /metrics is always on"'
check 'the other values arrived' answers /props '"total_slots":2' '"n_predict":5' '"temperature":0.25'
check '--seed N: for requests that give none' eval '[ "$(seed_of "")-$(seed_of ", \"seed\": null")-$(seed_of ", \"seed\": 6")" = 5-5-6 ]'
check '--seed N: a request with a negative seed gets a fresh one' fresh_seeds ', "seed": -1'
check 'aliases in one value' answers /v1/models '"aliases":["one","two"]'
ended
started "$any" --flash-attn --n-gpu-layers 0 --no-slots -kvu -np 3 -c 768 -lv 3 --predict 7 --no-kv-unified --seed -1
check 'an option whose value may be missing, and those that are flags' eval '[ -n "$url" ] && answers /props "\"n_ctx\":768" "\"n_predict\":7" && [ "$(status_of /slots)" = 501 ]'
check '--seed -1: a fresh one for each request' eval 'fresh_seeds "" && answers /props "\"seed\":4294967295"'
ended
run serve nothere.gguf --log-disable -fa --jinja
check '--log-disable: no notes' refused 1 'nothere.gguf: cannot open'
for origin in nonsense https:// https://a.example/ 'https://*.example' ''; do
    run serve nothere.gguf --cors "$origin"
    check "--cors '$origin' is not an origin" refused 2 "--cors: '$origin' is not an origin"
done

# variables; a flag counts before them
export LLAMA_ARG_CTX_SIZE=1024 LLAMA_ARG_N_PARALLEL=2 LLAMA_ARG_ENDPOINT_SLOTS=0 LLAMA_ARG_FLASH_ATTN=1 LLAMA_ARG_TOP_K=7 LLAMA_API_KEY=first,second LLAMA_ARG_MODEL=/nowhere LLAMA_ARG_HOST=0.0.0.0 \
    LLAMA_ARG_CONT_BATCHING=false
started "$any" --parallel 4 --host 127.0.0.1
check 'variables: the context, but the slots of the flag, the model of the argument and the host of the flag' eval \
    'logs "context 256 tokens for each, 4 requests at a time" && [ "$url" = "http://127.0.0.1:$port" ] && [ "$(grep -c "^listening" "$log")" = 1 ]'
check 'variables: LLAMA_API_KEY' eval '[ "$(status_of /props)-$(status_of /props first)-$(status_of /props second)-$(status_of /health)" = 401-200-200-200 ]'
check 'variables: one that says no' eval '[ "$(status_of /slots first)" = 501 ]'
check 'variables: what has no effect is noted by name' eval 'logs "LLAMA_ARG_FLASH_ATTN has no effect here" && logs "LLAMA_ARG_CONT_BATCHING has no effect here"'
ended
started -m "$any" --api-key third
check 'a flag hides the variable of its kind' eval '[ "$(status_of /props first)-$(status_of /props third)" = 401-200 ]'
ended
unset LLAMA_API_KEY LLAMA_ARG_HOST LLAMA_ARG_ENDPOINT_SLOTS
LLAMA_ARG_MODEL=$any
export LLAMA_ARG_MODEL
LLAMA_ARG_NO_WEBUI=1 serving --chat-template chatml
check 'variables: the model' answers /props "\"model_path\":\"$any\"" '"top_k":7'
ended
run tokenize -p hello
check 'no other command reads them' refused 2 'no model given'
run "$any" -p a --n-predict 1 -np 2
check 'nor knows the flags' refused 2 "unknown option '-np': it is --parallel of 'mini-cllm serve'"
LLAMA_ARG_PORT=x run serve "$any"
check 'variables: a wrong value' refused 2 "--port: 'x' is not a whole number"
LLAMA_ARG_MMPROJ=x run serve "$any" -q
check 'variables: what is not supported' refused 2 '--mmproj: not supported yet'
unset LLAMA_ARG_MODEL LLAMA_ARG_CTX_SIZE LLAMA_ARG_N_PARALLEL LLAMA_ARG_FLASH_ATTN LLAMA_ARG_TOP_K LLAMA_ARG_CONT_BATCHING

# what is refused, before a model is opened: what stderr says, the arguments
while IFS='|' read -r message arguments; do
    eval "run serve m.gguf $arguments" </dev/null
    check "refused: $arguments" refused 2 "$message"
done <<'END'
--cache-type-k f16 and --cache-type-v q8_0: keys and values have the same type here|-ctk f16 -ctv q8_0
--kv-type: 'q4_0' is not one of: f16|-ctk q4_0
-np needs a value|-c 5 -np
--jinja takes no value|--jinja=1
--hf-file: give its repository|-hff a.gguf
--tools all is not supported: the server runs no tools|--tools all
--rpc a:1 is not supported|--rpc a:1
--no-models-autoload is not supported|--no-models-autoload
--context-shift is not supported: a full context ends the text|--context-shift
--reasoning-budget 0 is not supported|--reasoning-budget 0
--reasoning-format none is not supported|--reasoning-format=none
--cors-origins: 'localhost' is not an origin|--cors-origins localhost
--device: 'CUDA0,CUDA1' names several devices|-dev CUDA0,CUDA1
--device: 'tpu' is not one of|-dev tpu
--rope-freq-scale: 'x' is not a number above 0|--rope-freq-scale x
--rope-scale: '0' is not|--rope-scale 0
--override: 'key' does not have the form|--override-kv key
--parallel: 'x' is not a whole number|-np x
--parallel: '0' is not a whole number from 1 to 1024|-np 0
--n-tokens: 'p2' is not a whole number|-np2
unknown option '--bogus'; see 'mini-cllm serve --help'|--bogus -np 2
unknown option '-z'|-z
END
run serve "$any" --ssl-key-file a
check 'refused by name: --ssl-key-file' refused 2 '--ssl-key-file: there is no TLS here'
run serve "$any" --ssl-cert-file a
check 'refused by name: --ssl-cert-file' refused 2 '--ssl-cert-file: there is no TLS here'
run serve "$any" -mm a
check 'refused by name: --mmproj' refused 2 '--mmproj: not supported yet'

started "$any" --reasoning-budget -1 --reasoning-format auto -sm none --keep 0 --cache-reuse 0 -np -1 -t -1 -n -2 --override-kv tokenizer.ggml.fim_pre_token_id=int:5,tokenizer.ggml.fim_suf_token_id=int:6
check 'values that are as things are: no word of them' eval '[ -n "$url" ] && ! logs "no effect"'
check 'several overrides in one value' eval '! logs "fim_" && logs "4 requests at a time"'
ended
cp "$any" "$temporary/another.gguf"
touch -d '1969-12-31T23:59:59.5Z' "$temporary/another.gguf"
started "$any" -- "$temporary/another.gguf"
check 'after -- there are models alone' eval 'answers /v1/models && [ "$(grep -o "\"object\":\"model\"" "$out" | wc -l)" = 2 ]'
check 'the time of a file from before 1970' eval 'prints "\"created_at\":\"1969-12-31T23:59:59Z\"" && answers /api/tags && prints "\"modified_at\":\"1969-12-31T23:59:59.500000Z\""'
ended
# a file that can never be loaded: its requests are refused, and the server is well
perl -pe 's/llama/lxama/g' "$any" >"$temporary/odd.gguf"
started "$any" "$temporary/odd.gguf"
asks /v1/completions '{"model": "odd", "prompt": "a", "max_tokens": 1}'
check 'a model that cannot be loaded: 422, with the reason' eval 'prints "422 " && prints "odd cannot be loaded: odd.gguf: " && prints lxama'
check "clients are not told the server's folders" eval '! prints "$temporary"'
asks /v1/completions '{"prompt": "a", "max_tokens": 1}'
check 'the other model answers' prints '200 '
ended
started "$any" --override tokenizer.ggml.add_bos_token=bool:false
asks /v1/embeddings '{"input": ["a", ""]}'
check 'an embedding of no token' eval 'prints "400 " && prints "input: text 2 has no tokens"'
ended
run serve "$any" "$any" --port 0
check 'two models of one name' refused 2 'two models have the name'
run serve "$any" "$temporary/nothing.gguf" --port 0
check 'a further model that is not there is told at once' refused 1 "$temporary/nothing.gguf: cannot open"
for folder in "$temporary/nothing" "$any"; do
    run serve "$any" --port 0 --slot-save-path "$folder"
    check "--slot-save-path $folder is looked at at once" refused 1 "--slot-save-path $folder: "
done
run serve "$any" --port 0 --api-key ,
check '--api-key without a key' refused 2 '--api-key: there is no key'
run serve "$any" --port 0 --api-key-file "$temporary/nothing"
check '--api-key-file that is missing' refused 1 "--api-key-file: $temporary/nothing: No such file or directory"
: >"$temporary/no_keys"
run serve "$any" --port 0 --api-key-file "$temporary/no_keys"
check '--api-key-file without a key' refused 1 "--api-key-file: there is no key in $temporary/no_keys"
run serve "$any" --port 0 --chat-template-kwargs '{bad'
check '--chat-template-kwargs that is no object' refused 2 '--chat-template-kwargs: '
started "$any"
run serve "$any" --port "$port"
check 'a port that is taken' refused 1 '--host 127.0.0.1, --port '
ended
run serve --help
tr -s ' \n' ' ' <"$out" >"$temporary/words" && cp "$temporary/words" "$out"
check '--help tells of the flags and the variables' eval "prints \"llama-server's flags\" && prints 'LLAMA_ARG_*' && prints 'LLAMA_API_KEY'"
finish
