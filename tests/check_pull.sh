#!/bin/sh
# Models by name, against a server that plays the Hub with all its faults (tests/hub_server.py): tests/check_pull.sh
# BUILD, from the top of the repository. After each fault there is either the whole, right file, or one line that
# says why not, and no incomplete file. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
leave() {
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null
    rm -rf "$temporary"
}
trap leave EXIT
command -v python3 >/dev/null || { echo '1..0 # SKIP python3 is missing' && exit 0; }
[ -e "$demo" ] || { echo "1..0 # SKIP $demo is missing" && exit 0; }

unset HF_TOKEN HF_TOKEN_PATH HF_HUB_CACHE HF_HUB_OFFLINE XDG_CACHE_HOME http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY
log=$temporary/log
: >"$log"
python3 tests/hub_server.py "$demo" "$log" >"$temporary/ports" 2>"$temporary/server" &
server=$!
await [ -s "$temporary/ports" ]
read -r hub_port cdn_port <"$temporary/ports"
export HF_ENDPOINT="http://127.0.0.1:$hub_port" MINI_CLLM_MODELS="$temporary/models" HF_HOME="$temporary/hf_home" HF_HUB_DOWNLOAD_TIMEOUT=100
models=$MINI_CLLM_MODELS

run pull test/plain </dev/null
if says 'was built without'; then
    check 'built without libcurl: pull says what is missing' eval 'exits 1 && one_line && says libc'
    echo "1..$tests"
    exit 0
fi

requests() { wc -l <"$log"; }
whole() { # REPOSITORY FILE: is this the file that the server has?
    for at in "$models"/hf/test/"$1"/*/"$2"; do
        python3 - "$1" "$2" "$at" "$demo" <<'END' || return 1
import os, sys
repo, name, at = sys.argv[1:4]
source = open("tests/hub_server.py").read().split("class Handler")[0]
sys.argv = ["", sys.argv[4], os.devnull]
exec(source)
version["moves"] = int(os.environ.get("MOVES", 0))
sys.exit(open(at, "rb").read() != files_of(repo)[name][0])
END
    done
}
nothing_half() { [ -z "$(find "$models" -name '*.partial' -o -name '*.lock' -o -name '*.new' 2>/dev/null)" ]; }
pulled() { exits 0 && silent_but_notes && nothing_half && whole "$1" "$2"; }
silent_but_notes() { ! grep -q '^mini-cllm:' "$err"; }
refused_whole() { # MESSAGE: one line, perhaps after one note about progress
    exits 1 && says "mini-cllm: $1" && [ "$(grep -c '^mini-cllm:' "$err")" = 1 ] && [ "$(wc -l <"$err")" -le 2 ] && [ ! -s "$out" ] && nothing_half
}

# --------------------------------------------------------------------------------------------- names and tags

check 'pull: the default is Q4_K_M, and neither mmproj, imatrix nor mtp' pulled plain demo-Q4_K_M.gguf
check 'its path is what it prints' eval 'cmp -s "$(cat "$out")" "$demo"'
run pull test/plain:q4_k -q
check 'a tag is a whole part of a name, in any case' eval 'silent && pulled plain demo-Q4_K.gguf'
run pull hf:test/plain:Q8_K_XL
check 'a file of a folder, on a later page' pulled plain sub/UD/demo-UD-Q8_K_XL.gguf
run pull "$HF_ENDPOINT/test/plain/resolve/main/demo-IQ4_XS.gguf"
check 'the URL of a file on the Hub' pulled plain demo-IQ4_XS.gguf
run pull test/plain:Q3_K
check 'a tag that is not there: one line lists those that are' eval \
    'refused 1 "test/plain:Q3_K: no such file in the repository; it has the tags Q4_K_M, " && says IQ4_XS && says Q8_K_XL'
run pull test/plain:K_M
check 'a part of a tag is none' refused 1 'test/plain:K_M: no such file'
run pull test/one
check 'the only model needs no tag' pulled one model.gguf
run pull test/many
check 'several, and none is Q4_K_M: the tags' refused 1 'test/many: no such file in the repository; it has the tags Q5_K_M, Q6_K'
run pull test/many:Q5_K_M
check 'several of one tag: the files' refused 1 'test/many:Q5_K_M: several files match; name one of them, as hf:test/many/FILE: a-Q5_K_M.gguf, b-Q5_K_M.gguf'
run pull test/many/b-Q5_K_M.gguf
check 'one of them by its name' pulled many b-Q5_K_M.gguf
run pull test/none
check 'a repository without a model' refused 1 'test/none: the repository has no GGUF model'
run pull test/shards
check 'all shards are one model' eval 'pulled shards Q4_K_M/big-Q4_K_M-00002-of-00003.gguf && whole shards Q4_K_M/big-Q4_K_M-00003-of-00003.gguf'
run pull test/lacks
check 'a shard that is missing' refused_whole 'test/lacks: a shard of this model is missing on the Hub'
run pull test/nolfs
check 'a file outside LFS' pulled nolfs small-q4_k_m.gguf
run pull test/renamed
check 'a repository that was renamed' eval 'exits 0 && cmp -s "$(cat "$out")" "$demo"'
run pull "http://localhost:$cdn_port/direct/x.gguf?key=1"
check 'a URL elsewhere' eval 'exits 0 && [ "$(wc -c <"$models/url/localhost:$cdn_port/direct/x.gguf")" = 1500000 ]'
run pull "http://localhost:$cdn_port/direct/x.gguf"
check 'again: its ETag is the same' eval 'exits 0 && says "already up to date"'
run pull "http://localhost:$cdn_port/untagged/x.gguf"
check 'a server that gives no ETag' eval 'exits 0 && says "of an unknown version (the server gives no ETag)"'
run pull "http://localhost:$cdn_port/moved/x.gguf"
check 'a URL that redirects' eval 'exits 0 && cmp -s "$(cat "$out")" "$models/url/localhost:$cdn_port/direct/x.gguf"'
run pull "http://localhost:$cdn_port/page/x.gguf"
check 'a web page in place of a model' refused_whole "http://localhost:$cdn_port/page/x.gguf: the server does not send a GGUF file"
for short in nothing two; do
    run pull "http://localhost:$cdn_port/$short/x.gguf"
    check "bytes that are too few: $short" refused_whole "http://localhost:$cdn_port/$short/x.gguf: the server does not send a GGUF file"
done
run pull "http://localhost:$cdn_port/direct/x-00002-of-00003.gguf"
check 'a later part of a model is refused by its URL' eval 'exits 1 && says "x-00002-of-00003.gguf: this is not the first part of the model"'
for bad in nonsense a/b/c ../x/y 'a/b:..' 'a/..' http://localhost/x.bin http://u:p@localhost/x.gguf; do
    before=$(requests)
    run pull "$bad"
    check "refused without a request: $bad" eval '[ "$status" -ne 0 ] && one_line && { [ "$(requests)" = "$before" ] || [ "$bad" = a/b/c ]; }'
done
run pull
check 'pull needs a name' refused 2 'pull: no model named'

# ----------------------------------------------------------------------------------------------- hostile names

for i in 1 2 3 4; do
    run pull test/evil$i
    check "an unsafe name of the server, $i" eval 'refused 1 "test/evil$i: the Hub gives a file an unsafe name" &&
        ! find "$temporary" /tmp/evil* -name "*evil-*" 2>/dev/null | grep -q .'
done

# ------------------------------------------------------------------------------------------------------ faults

for fault in busy drops ignores expires stalls twice shifts; do
    case $fault in stalls) stall=2 ;; *) stall=100 ;; esac
    HF_HUB_DOWNLOAD_TIMEOUT=$stall run pull test/$fault
    check "the right file in the end: $fault" pulled $fault $fault-Q4_K_M.gguf
done
run pull test/wrong
check 'wrong bytes' eval 'exits 1 && nothing_half && says "mini-cllm: test/wrong:Q4_K_M: wrong-Q4_K_M.gguf: the bytes" && says SHA-256'
run pull test/long
check 'more bytes than there are' eval 'exits 1 && nothing_half && says "a different size"'
run pull test/short
check 'a file that is too short' eval 'exits 1 && nothing_half && says "a different size"'
run pull test/never
check 'a connection that always drops' eval 'exits 1 && nothing_half && says "the connection was lost"'
run pull test/huge
check 'no room on the disk' refused_whole 'test/huge:Q4_K_M: 1.0 PiB are still to be fetched, but the disk of'
run pull test/garbage
check 'a list that is none' refused_whole "test/garbage: the Hub's list of files is not valid"
run pull test/s401
check 401 refused_whole 'test/s401: the Hub has no such model, or it needs a token (401): set HF_TOKEN'
run pull test/s403
check 403 refused_whole 'test/s403: the Hub refuses access (403)'
run pull test/s404
check 404 refused_whole 'test/s404: the Hub has no such model, revision or file (404)'
run pull test/s429
check 429 refused_whole 'test/s429: too many requests (429); try again in 77 seconds'
run pull test/s500
check 500 refused_whole 'test/s500: the server answered with status 500'
HF_ENDPOINT=http://127.0.0.1:9 run pull test/plain
check 'no network' refused_whole '127.0.0.1:9: no connection'
HF_HUB_DOWNLOAD_TIMEOUT=2 HF_ENDPOINT=http://no-such-host.invalid run pull test/plain
check 'no such host' refused_whole 'no-such-host.invalid: no connection'
HF_HUB_OFFLINE=1 run pull test/plain
check 'HF_HUB_OFFLINE' refused_whole 'test/plain: cannot be fetched, because HF_HUB_OFFLINE is set'
(ulimit -f 1000 && "$program" pull test/full >"$out" 2>"$err")
status=$?
check 'no room: a line, and the part stays' eval 'exits 1 && says "File too large; what has arrived stays" && ! nothing_half'
run pull test/full
check 'and it goes on from there' eval 'says "continuing after" && pulled full full-Q4_K_M.gguf'

# ------------------------------------------------------------------------------------------------------- token

run pull test/gated
check 'without a token' refused_whole 'test/gated: the Hub has no such model, or it needs a token'
HF_TOKEN=secret run pull test/gated
check 'HF_TOKEN' pulled gated gated-Q4_K_M.gguf
run rm test/gated
mkdir -p "$HF_HOME" && echo secret >"$HF_HOME/token"
run pull test/gated
check 'the token of $HF_HOME' pulled gated gated-Q4_K_M.gguf
run rm test/gated
mv "$HF_HOME/token" "$temporary/token"
HF_TOKEN_PATH=$temporary/token run pull test/gated
check 'HF_TOKEN_PATH' pulled gated gated-Q4_K_M.gguf
check 'no other server was sent a token' eval '! grep LEAK "$log"'

# ------------------------------------------------------------------------------------------------- new commits

run pull test/moves
old=$(cat "$out")
control() { python3 -c "import urllib.request; urllib.request.urlopen('$HF_ENDPOINT/control/$1')"; }
control moves
: >"$log"
run pull test/moves
check 'a new commit with the same file: nothing is fetched' eval 'pulled moves m-Q4_K_M.gguf && [ "$(cat "$out")" != "$old" ] &&
    [ ! -e "$old" ] && ! grep -q "^CDN" "$log"'
control moves
old=$(cat "$out")
HF_ENDPOINT=http://127.0.0.1:9 run pull test/moves
check 'the Hub is away: the old one stays' eval 'exits 1 && [ -e "$old" ]'
run pull test/moves
check 'a new commit with a new file: the old one goes' eval 'MOVES=2 && export MOVES && pulled moves m-Q4_K_M.gguf && [ ! -e "$old" ]'
run pull test/moves
check 'it is the newest' eval 'exits 0 && says "already up to date"'

# ------------------------------------------------------------------------------------------------- interrupted

a_part() { [ -n "$(find "$models/hf/test/trickles" -name '*.partial' -size +0 2>/dev/null)" ]; }
start pull test/trickles
await a_part
kill -INT $process
finished
check 'Ctrl-C: status 130, how to go on, and the part stays' eval 'exits 130 && says "goes on after" && ! nothing_half'
run pull test/trickles
check 'and it goes on' eval 'says "continuing after" && pulled trickles trickles-Q4_K_M.gguf'
run rm test/trickles
check 'rm' eval 'exits 0 && silent && [ ! -e "$models/hf/test/trickles" ]'

start pull test/trickles
await a_part
kill -INT $process
finished
run list
check 'list shows a part' eval 'exits 0 && says "unfinished: hf/test/trickles/" && says "trickles-Q4_K_M.gguf, "'
run rm test/trickles
check 'rm removes a part' eval 'exits 0 && silent && [ ! -e "$models/hf/test/trickles" ]'

: >"$log"
"$program" pull test/trickles >"$temporary/first" 2>&1 &
first=$!
await a_part
start pull test/trickles
await says 'waiting for it'
control trickles
finished
wait $first
check 'two at once share the work' eval 'pulled trickles trickles-Q4_K_M.gguf && says "waiting for it" && [ "$(grep -c "^CDN GET" "$log")" = 1 ]'

# The moments of kill -9 are random, within 1.1 times the time that one pull takes. Some come before the first byte, or
# after the last.
echo "# MINICLLM_TEST_SEED=${MINICLLM_TEST_SEED:=$(date +%s)}"
killed=0 wrong=0 resumed=0 n_moments=0
begin=$(python3 -c 'import time; print(time.time())')
run pull test/slow
for moment in $(python3 -c 'import random, sys, time
seed, most = sys.argv[1], 1.1 * (time.time() - float(sys.argv[2]))
draw = random.Random(seed)
print(*(f"{draw.uniform(0, most):.3f}" for _ in range(300)))' "$MINICLLM_TEST_SEED" "$begin"); do
    [ $n_moments -lt 50 ] || [ $resumed -le 10 ] || break
    n_moments=$((n_moments + 1))
    run rm test/slow
    "$program" pull test/slow >/dev/null 2>&1 &
    process=$!
    perl -e 'select undef, undef, undef, shift' "$moment"
    kill -9 $process 2>/dev/null && killed=$((killed + 1))
    wait $process 2>/dev/null
    run pull test/slow
    ! says 'continuing after' || resumed=$((resumed + 1))
    pulled slow slow-Q4_K_M.gguf || { wrong=$((wrong + 1)) && cat "$err"; }
done
check "kill -9 at $n_moments moments, then again: right ($killed killed, $resumed resumed)" [ "$wrong" = 0 -a "$resumed" -gt 10 ]

# ---------------------------------------------------------------------------------------------- other commands

rm -rf "$models"
"$program" "$demo" -n 8 -t 0 -p One -q >"$temporary/expected"
run hf:test/plain:Q4_K_M -n 8 -t 0 -p One -q
check 'hf:... as the model: it is pulled, and generates' eval 'exits 0 && silent && cmp -s "$out" "$temporary/expected"'
before=$(requests)
HF_HUB_OFFLINE=1 run hf:test/plain:Q4_K_M -n 8 -t 0 -p One -q
check 'then without network' eval 'exits 0 && silent && cmp -s "$out" "$temporary/expected"'
run hf:test/plain -n 8 -t 0 -p One -q
check 'also without its tag' eval 'exits 0 && silent && cmp -s "$out" "$temporary/expected"'
run test/plain:q4_k_m -n 8 -t 0 -p One -q --draft-model hf:test/plain
check 'a pulled name, and --draft-model' eval 'exits 0 && silent && cmp -s "$out" "$temporary/expected"'
for command in inspect 'tokenize -p x' 'bench -p 4 -n 2 -r 1'; do
    # shellcheck disable=SC2086 # words
    run ${command%% *} hf:test/plain $(echo "$command" | cut -s -d ' ' -f 2-)
    check "${command%% *} by name" exits 0
done
check 'a name that is there asks no network' [ "$(requests)" = "$before" ]
HF_HUB_OFFLINE=1 run hf:test/other -n 1
check 'one that is not there, offline' refused 1 'test/other: cannot be fetched, because HF_HUB_OFFLINE is set'
run test/other -n 1
check 'a name without hf: that is not pulled is a path, or else to be pulled' refused 1 "there is no file 'test/other'"
# somebody has changed the manifest: its commit must be the name of a folder, not a path to another place
mkdir -p "$temporary/changed/hf/test/plain" "$temporary/victim" && echo keep >"$temporary/victim/plain.gguf"
printf '%s' '{"name": "test/plain:Q4_K_M", "commit": "../../../../victim", "pulled": 9000000000000000000, "files": [{"path": "plain.gguf", "size": 5, "sha256": ""}]}' \
    >"$temporary/changed/hf/test/plain/Q4_K_M.json"
MINI_CLLM_MODELS=$temporary/changed run rm test/plain:Q4_K_M
check 'rm stays in the folder for models' eval 'exits 1 && [ -e "$temporary/victim/plain.gguf" ]'
MINI_CLLM_MODELS=$(printf "/tmp/%03500d" 1) run rm http://h.example/m.gguf
check 'a path that is too long' eval '[ "$status" = 1 ] && one_line'
: >"$temporary/file"
MINI_CLLM_MODELS=$temporary/file/models run pull test/plain
check 'a folder for models that cannot be made' refused 1 "$temporary/file/models: Not a directory; MINI_CLLM_MODELS"
MINI_CLLM_MODELS=$temporary/file run list
check 'and none that can be listed' refused 1 "$temporary/file: Not a directory"
run hf:nonsense -n 1
check 'hf: and no name' refused 2 "'hf:nonsense' is neither hf:OWNER/NAME"

# --------------------------------------------------------------------------------------- list, rm, other caches

commit=0123456789012345678901234567890123456789
cache=$HF_HOME/hub/models--test--cached
mkdir -p "$cache/refs" "$cache/snapshots/$commit" && printf %s $commit >"$cache/refs/main"
cp "$demo" "$cache/snapshots/$commit/c-Q4_K_M.gguf"
HF_HUB_OFFLINE=1 run hf:test/cached:Q4_K_M -n 8 -t 0 -p One -q
check "a model in Hugging Face's cache is used there" eval 'exits 0 && silent && cmp -s "$out" "$temporary/expected"'
run list
check 'list' eval 'exits 0 && silent && grep -q "^test/plain:Q4_K_M .* MiB " "$out" && grep -q "^test/cached:Q4_K_M .*Hugging Face" "$out"'
check 'and its columns stand below their heads' \
    awk 'NR == 1 { at = index($0, "PULLED") } substr($0, at, 2) !~ /^(PU|20)$/ { exit 1 }' "$out"
run list --json
check 'list --json' eval 'python3 -c "
import json, sys
models = {m[\"name\"]: m for m in json.load(open(sys.argv[1]))}
assert models[\"test/cached:Q4_K_M\"][\"hf_cache\"] and models[\"test/cached:Q4_K_M\"][\"commit\"] == sys.argv[2]
assert not models[\"test/plain:Q4_K_M\"][\"hf_cache\"] and models[\"test/plain:Q4_K_M\"][\"size\"] > 1e5
" "$out" $commit'
python3 - "$cache" "$demo" <<'END'
import hashlib, os, shutil, sys
commit = hashlib.sha1(b"plain 0").hexdigest() # of the server
cache = sys.argv[1].replace("cached", "plain")
os.makedirs(f"{cache}/refs"), os.makedirs(f"{cache}/snapshots/{commit}")
open(f"{cache}/refs/main", "w").write(commit)
shutil.copy(sys.argv[2], f"{cache}/snapshots/{commit}/demo-Q4_K_M.gguf")
END
run rm test/plain
: >"$log"
run pull test/plain
check "pull leaves what Hugging Face's cache has where it is" eval 'exits 0 && prints /hub/models--test--plain/ && ! grep -q ^CDN "$log"'
rm -rf "$HF_HOME/hub/models--test--plain"
run pull test/plain
run rm test/cached:Q4_K_M
check "rm leaves Hugging Face's cache alone" eval "refused 1 \"rm: 'test/cached:Q4_K_M' is in Hugging Face's cache\" && [ -e $cache/snapshots/$commit/c-Q4_K_M.gguf ]"
run pull -q test/plain:IQ4_XS
run rm test/plain
check 'rm without a tag, where there are two: it says which' eval 'refused 1 "rm: several models have the name" && says test/plain:Q4_K_M && says test/plain:IQ4_XS'
run rm test/plain:IQ4_XS
check 'rm says what it removed' prints 'removed test/plain:IQ4_XS, '
run rm test/plain
check 'rm without a tag, where there is one' eval 'exits 0 && silent && [ ! -e "$models/hf/test/plain" ]'
run rm test/plain
check 'rm of what is not there' refused 1 "rm: there is no pulled model 'test/plain'"
run list extra
check 'list takes no name' refused 2 'list: unexpected argument'
run rm
check 'rm needs a name' refused 2 'rm: no model named'
check 'the server had no fault of its own' eval '! cat "$temporary/server" | grep .'

finish
