#!/bin/sh
# Real clients against `mini-cllm serve`: tests/check_clients.sh BUILD, from the top of the repository. Prints TAP.
#
# Every SDK of tests/clients gets the server's URL and the name of its model, and prints TAP: *.py, *.mjs, and
# folders with a go.mod or a pom.xml. Their packages are in build/clients, where `scripts/setup ci` puts them. If a
# package or a language is missing, the client counts as skipped.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

packages=build/clients
mkdir -p "$packages"

# installed FILE: are the packages there that this file of tests/clients lists?
installed() { cmp -s "tests/clients/$1" "$packages/$(echo "$1" | tr / _)"; }

# newer SOURCE PRODUCT: must the product be built again?
newer() { [ ! -e "$2" ] || [ -n "$(find "$1" -newer "$2")" ]; }

# A client that hangs is ended.
limited() { perl -e 'alarm shift; exec @ARGV or exit 127' 600 "$@"; }

# try NAME LANGUAGE FILE COMMAND...: the client's checks, unless its language, or what FILE asks for, is missing
try() {
    label=$1 language=$2 file=$3
    shift 3
    if ! command -v "$language" >/dev/null; then
        skip "$label" "$language is missing"
    elif ! installed "$file"; then
        skip "$label" "what tests/clients/$file asks for is missing: run scripts/setup ci"
    else
        of="$label: "
        adopt "$@"
        of=''
    fi
}

run_go() { # FOLDER: builds its program, unless it was built from these sources
    binary=$PWD/$packages/${1##*/}.run
    if newer "$1/main.go" "$binary"; then (cd "$1" && GOFLAGS=-buildvcs=false GOPROXY=off go build -o "$binary" .) || return; fi
    limited "$binary" "$url" "$model"
}

run_java() { # FOLDER
    source=$(echo "$1"/*.java)
    class=$(basename "$source" .java)
    made=$packages/${1##*/}
    if newer "$source" "$made/$class.class"; then javac -nowarn -XDsuppressNotes -cp "$made/jars/*" -d "$made" "$source" 2>&1 | sed 's/^/# /'; fi
    limited java -XX:TieredStopAtLevel=1 -cp "$made/jars/*:$made" "$class" "$url" "$model"
}

# All clients, on the server that runs.
run_clients() {
    model=$(python3 -c 'import json, sys, urllib.request; print(json.load(urllib.request.urlopen(sys.argv[1] + "/v1/models"))["data"][0]["id"])' "$url")
    for client in tests/clients/*; do
        name=${client##*/}
        case $client in
        *.py) try "$name, $model" python3 requirements.txt limited env "PYTHONPATH=$PWD/$packages/python" python3 "$client" "$url" "$model" ;;
        *.mjs) # Node looks for packages beside the script
            cp "$client" "$packages/$name"
            try "$name, $model" node package-lock.json limited node "$packages/$name" "$url" "$model"
            ;;
        esac
        [ ! -e "$client/go.mod" ] || try "$name, $model" go "$name/go.sum" run_go "$client"
        [ ! -e "$client/pom.xml" ] || try "$name, $model" javac "$name/pom.xml" run_java "$client"
    done
}

serving "$any" --chat-template tests/support/agent.jinja --ctx 16384
run_clients
serving_ends
check 'the server ends as it should' exits 143

real=${MINICLLM_PUBLISHED:-build/published}/smollm2.gguf
if [ -e "$real" ]; then
    serving "$real" --ctx 2048
    run_clients
    serving_ends
    check 'the server of a real model ends as it should' exits 143
else
    skip 'a real model' "$real is missing"
fi
finish
