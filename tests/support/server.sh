# A server for shell tests; to be sourced after program.sh. serving MODEL... [OPTION...] starts it on a free port and
# waits until it is ready ($url, $port). serving_ends stops it (exit status in $status, its log in $log). can_serve
# skips the test if a server cannot run here.
log=$temporary/log

can_serve() {
    command -v python3 >/dev/null || { echo '1..0 # SKIP python3 is missing' && return 1; }
    run serve --ssl-key-file x
    if says 'built without'; then echo '1..0 # SKIP the program was built without libmicrohttpd' && return 1; fi
}

serving() {
    : >"$log" # remove the log of the server before
    hears_interrupts "$program" serve --port 0 "$@" >"$out" 2>"$log" </dev/null &
    server=$!
    trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null; rm -rf "$temporary"' EXIT
    await listens
    url=$(sed -n 's|.*listening on \(http://[^ "]*\).*|\1|p' "$log" | tail -n 1) # in a line, or in one of JSON
    port=${url##*:}
    port=${port%%/*}
}
listens() { grep -q 'listening on http' "$log" || ! kill -0 "$server" 2>/dev/null; }

serving_ends() { # [SIGNAL]
    kill -"${1:-TERM}" "$server"
    server_ended
}
server_ended() { # it ended by itself; another process may get its number now
    wait "$server"
    status=$?
    server=''
}

# adopt COMMAND...: runs a script that prints TAP, and counts its checks as ours, with "$of" before their names
of=''
adopt() {
    "$@" >"$temporary/tap" 2>&1
    while IFS= read -r line; do
        case $line in
        ok\ *) tests=$((tests + 1)) && echo "ok $tests - $of${line#*- }" ;;
        not\ ok\ *) tests=$((tests + 1)) failures=$((failures + 1)) && echo "not ok $tests - $of${line#*- }" ;;
        1..*) ;;
        \#*) echo "$line" ;;
        *) echo "# $line" ;;
        esac
    done <"$temporary/tap"
    grep -q '^1\.\.' "$temporary/tap" || check "$of$* came to its end" false
}
