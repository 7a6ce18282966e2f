#!/usr/bin/env python3
"""Sends mini-cllm serve what no client should send: serve_hostile.py URL N SEED [PID [CASE]]. It sends N requests, each
chosen by SEED and its number, several at a time; then the server must be as it was. With PID the process gets
signals that mean nothing, and its memory is watched. CASE runs one request alone, and prints the answer. Prints TAP."""
import glob, json, os, random, re, signal, socket, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done
from wire import LIMIT, Wire, becomes_idle, post

url, n_cases, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pid = int(sys.argv[4]) if len(sys.argv) > 4 else 0
alone = int(sys.argv[5]) if len(sys.argv) > 5 else -1
SOURCE = os.path.join(os.path.dirname(__file__), "..", "programs", "server")

# ------------------------------------------------------------------------------------------------ what there is to ask

with open(os.path.join(SOURCE, "routes.c")) as f:
    ROUTES = re.findall(r'\{"([A-Z]+)", "([^"]+)", \w+, (\w+)', f.read())
POSTS = [path for method, path, _ in ROUTES if method == "POST" and "pull" not in path]  # a pull asks the network
FIELDS = {"messages", "prompt", "input", "model", "stream", "tools", "tool_choice", "content", "role", "query", "documents", "options", "system", "n_predict", "max_tokens"}
for name in glob.glob(os.path.join(SOURCE, "*.c")):
    with open(name) as f:
        FIELDS |= set(re.findall(r'(?:field_\w+|take_count|json_object_get|ask_\w+)\([^,;"]*, "([a-z]\w*)"', f.read()))
FIELDS = sorted(FIELDS)


def text(value):
    return json.dumps(value).encode()


def base(rng, path, tokens=None):
    """A body that the endpoint should take, of a few tokens."""
    few = rng.randrange(1, 8) if tokens is None else tokens
    words = " ".join(rng.choice(["once", "upon", "a", "time", "the", "fox", "<|im_end|>", "é", "中"]) for _ in range(rng.randrange(1, 30)))
    return {"messages": [{"role": "user", "content": words}], "prompt": words, "input": words, "content": words, "query": words, "documents": [words], "input_prefix": "a", "input_suffix": "b",
            "tokens": [1, 2, 3], "max_tokens": few, "n_predict": few, "max_output_tokens": few, "options": {"num_predict": few}, "stream": rng.random() < 0.5}


def string(rng):
    return rng.choice([b'""', b'"a"', b'"\\u0000"', b'"a\\u0000b"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"<|im_end|>"', b'"' + b"word " * rng.randrange(3000) + b'"',
                       b'"auto"', b'"none"', b'"json"', b'"text"', b'"{{ x }}"', b'"%s%n%d"', '"\U0001f600"'.encode(), b'"\\n\\n"', b'"../../etc/passwd"'])


def number(rng):
    return rng.choice([b"0", b"-0", b"1", b"-1", b"2", b"0.5", b"-0.5", b"1e308", b"-1e308", b"1e-320", b"1e999", b"2147483647", b"2147483648", b"-2147483649", b"4294967296", b"9007199254740993",
                       b"9223372036854775807", b"-9223372036854775808", b"18446744073709551616", b"1" * 400, b"1.0", b"7.5", b"NaN", b"Infinity", b"0x10", b"01", b"1."])


def value(rng, depth=0):
    kind = rng.randrange(9 if depth < 3 else 5)
    if kind == 0: return rng.choice([b"null", b"true", b"false"])
    if kind in (1, 2): return number(rng)
    if kind in (3, 4): return string(rng)
    if kind in (5, 6): return b"[" + b",".join(value(rng, depth + 1) for _ in range(rng.randrange(4))) + b"]"
    if kind == 7: return b"{" + b",".join(b'"' + rng.choice(FIELDS).encode() + b'":' + value(rng, depth + 1) for _ in range(rng.randrange(4))) + b"}"
    deep = rng.choice([10, 100, 1000, 3000])
    return rng.choice([b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep])


def sound(rng, depth=0):
    """A correct JSON value."""
    for _ in range(100):
        v = value(rng, depth)
        try:
            parsed = json.loads(v)
            if len(v) < 100000 and b"ud" not in v and not re.search(rb"NaN|Infinity|1e999|\d{20}|\]{500}|\}{500}", v): return parsed
        except (ValueError, RecursionError):
            pass
    return None


# ------------------------------------------------------------------------------------------------------- what is right


def fault(answer, allowed=None, by_library=False):
    """What is wrong with an answer to a hostile request; None: nothing."""
    if answer is None: return None
    status, headers, body = answer
    if status == 204: return f"a body after 204: {body[:100]!r}" if body else None
    if allowed and status not in allowed: return f"status {status}: {body[:300]!r}"
    if status == 503 and "retry-after" in headers: return None
    if by_library and b"<html><head><title" in body: return None if status in (400, 413, 414, 431, 505) else f"status {status}: {body[:100]!r}"
    if status >= 500 and status != 501: return f"status {status}: {body[:300]!r}"
    kind = headers.get("content-type", "")
    if status >= 400:
        try:
            said = json.loads(body)
        except ValueError:
            return f"an error that is no JSON: {status} {body[:200]!r}"
        return None if "error" in said else f"an error without its form: {body[:200]!r}"
    if kind == "application/json":
        try:
            json.loads(body)
        except ValueError:
            return f"no JSON: {body[:200]!r}"
    if kind in ("text/event-stream", "application/x-ndjson") and (re.search(rb'"(server_error|api_error)"|^\{"error"', body, re.M) or not body.endswith(b"\n")): return f"a stream that fails: {body[-300:]!r}"
    return None


def exchange(data, half=False, **rules):
    w = Wire(url)
    w.send(data)
    if half: w.end()
    answer = w.answer()
    w.close()
    return fault(answer, **rules)


# --------------------------------------------------------------------------------------------------------- cases

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def malformed(rng):
    """Requests that are no HTTP, or that two servers would read differently."""
    noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
    path = rng.choice(POSTS).encode()
    head = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n"
    refused = {400, 413, 414, 431, 505}
    kinds = [
        (noise, None), (noise + b"\r\n\r\n", None), (b"GET\r\n\r\n", None), (b"GET /health\r\n\r\n", None), (b"GET /health HTTP/0.9\r\n\r\n", {505, 400}), (b"GET /health HTTP/2.0\r\n\r\n", {505, 400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505, 400}), (b"GET /health HTTP/9999999999.1\r\n\r\n", refused), (b"GET  /health  HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
        (b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", None), (b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", {403}),
        (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", {403}), (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", {404, 405}), (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}), (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}),
        (b"GET /v1/models/%00%ff%zz%u0041 HTTP/1.1\r\nHost: localhost\r\n\r\n", None), (b"GET /v1/models/..%2f..%5c HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
        (b"GET /health" + b"?" + b"a=%41&" * rng.randrange(200) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", None), (b"GET /" + b"a" * rng.randrange(10, 60000) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {404, 414, 431}),
        (b"GET /health HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % i for i in range(rng.randrange(100, 5000))) + b"Host: localhost\r\n\r\n", {200, 431}),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * rng.randrange(1000, 100000) + b"\r\n\r\n", {200, 431}),
        (post(path.decode(), b"{}", b"X: " + b"y" * rng.randrange(12000, 25000) + b"\r\n"), None),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"a=b;" * rng.randrange(1, 4000) + b"\r\n\r\n", {200, 431, 400}), (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", None),
        (b"GET /health\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", None), (b"GET /health HTTP/1.1\nHost: localhost\n\n", None), (b"GET /health HTTP/1.1\rHost: localhost\r\r", None),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n no colon\r\n\r\n", None), (b"GET /health HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", None), (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
        (b"\xff\xfe\xfd /health HTTP/1.1\r\nHost: localhost\r\n\r\n", None), (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}), (b"A" * rng.randrange(1, 30000), None),
        (head + b"Content-Length: -1\r\n\r\n{}", {400}), (head + b"Content-Length: 5x\r\n\r\n{}", {400}), (head + b"Content-Length: 99999999999999999999999\r\n\r\n{}", {413}), (head + b"Content-Length:\r\n\r\n{}", {400}),
        (head + b"Content-Length: +2\r\n\r\n{}", {400}), (head + b"Content-Length: 0x2\r\n\r\n{}", {400}), (head + b"Content-Length: 500\r\n\r\n{}", None), (head + b"Content-Length: 1\r\n\r\n{}", None),
        (head + b"Content-Length: 99999999999\r\n\r\n{}", {413}), (head + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n{   }", None), (head + b"\r\n", None), (head + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", {426}),
        (head + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", {415}), (head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", None), (head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", {400}),
        (head + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", {400}), (head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}", {413, 400}), (head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", None),
        (head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}garbage", {400}), (head + b"Transfer-Encoding: chunked\r\n\r\n2;a=" + b"b" * rng.randrange(1000) + b"\r\n{}\r\n0\r\nX: y\r\n\r\n", None),
        (head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * rng.randrange(1000) + b"0\r\n\r\n", None), (head + b"Transfer-Encoding: chunked\r\n\r\n" + noise, None),
        (head + b"Authorization: Bearer " + b"x" * rng.randrange(5000) + b"\r\nContent-Length: 2\r\n\r\n{}", None),
    ]
    smuggled = [b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
                b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
                b"Content-Length : 40\r\n\r\n", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"]
    if rng.random() < 0.2:  # what follows is never answered as a request of its own
        method = rng.choice([b"POST " + path, b"GET /health", b"OPTIONS /health"])
        w = Wire(url)
        w.send(method + b" HTTP/1.1\r\nHost: localhost\r\n" + rng.choice(smuggled) + HIDDEN)
        w.end()
        first, second = w.answer(), w.answer()
        w.close()
        return fault(first, {400}, by_library=True) or (f"it was let through: {second[:2]}" if second else None)
    data, allowed = rng.choice(kinds)
    return exchange(data, half=True, allowed=allowed, by_library=True)


def broken_json(rng):
    path = rng.choice(POSTS)
    body = text(base(rng, path))
    kind = rng.randrange(9)
    if kind == 0: body = body[:rng.randrange(len(body))]
    elif kind == 1:
        body = bytearray(body)
        for _ in range(rng.randrange(1, 6)): body[rng.randrange(len(body))] = rng.randrange(256)
        body = bytes(body)
    elif kind == 2:
        i = rng.randrange(len(body))
        body = body[:i] + value(rng) + body[i:]
    elif kind == 3: body = value(rng)
    elif kind == 4: body = rng.choice([b"[", b'{"a":', b'{"messages":[']) * rng.choice([100, 5000, 200000])
    elif kind == 5: body = b"\xef\xbb\xbf" + body
    elif kind == 6: body = body.decode().encode("utf-16")
    elif kind == 7: body = body[:-1] + b"".join(b',"%s":%s' % (rng.choice(FIELDS).encode(), value(rng)) for _ in range(rng.randrange(20))) + b"}"  # keys come twice
    else: body = b'{"prompt":[' + rng.choice([b"[],", b"1,", b'"a",', b"{},"]) * rng.choice([1000, 1200000]) + b"1]}"
    return exchange(post(path, body))


def wrong_fields(rng):
    path = rng.choice(POSTS).replace("*", "x")
    body = base(rng, path)
    for _ in range(rng.randrange(1, 5)):
        name = rng.choice(FIELDS)
        body[name] = sound(rng)
        if rng.random() < 0.2: body.setdefault("options", {}) if not isinstance(body.get("options"), dict) else body["options"].update({name: sound(rng, 2)})
        if rng.random() < 0.2 and isinstance(body.get("messages"), list): body["messages"].append({rng.choice(FIELDS): sound(rng, 2), "role": rng.choice(["user", "system", "tool", "x"]), "content": sound(rng, 2)})
    if body.get("n") == 128 or "stream" not in body: body["n"] = 2
    return exchange(post(path, text(body)))


def any_route(rng):
    method, path, _ = rng.choice(ROUTES)
    path = path.replace("*", rng.choice(["x", "%00", "demo", "..", "a" * 300]))
    method = rng.choice([method, method, "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X" * 50])
    if "pull" in path: return None
    head = method.encode() + b" " + path.encode() + rng.choice([b"", b"?", b"?a=b&c", b"?" + b"&" * 100]) + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    w = Wire(url)
    w.send(head + b"Content-Length: 2\r\n\r\n{}" if method == "POST" else head + b"\r\n")
    if method == "HEAD":  # an answer without a body
        w.until(b"\r\n\r\n")
        while w.more(): pass
        problem = f"a body after HEAD: {w.buffer[:100]!r}" if w.buffer else None
        w.close()
        return problem
    answer = w.answer()
    w.close()
    return fault(answer, by_library=True)


def disconnect(rng):
    """A client that goes away: while it sends, in the queue, while its prompt is read, or its text written."""
    path = rng.choice(POSTS).replace("*", "x")
    body = base(rng, path, tokens=rng.choice([1, 50, 500]))
    body.update(ignore_eos=True, n=rng.choice([1, 1, 2, 5]))
    if rng.random() < 0.3: body["prompt"] = body["input"] = body["messages"][0]["content"] = "word " * rng.randrange(700)
    data = post(path, text(body))
    w = Wire(url, small=rng.random() < 0.3)
    w.send(data if rng.random() < 0.8 else data[:rng.randrange(len(data))])
    what = rng.random()
    if what < 0.5:
        w.socket.settimeout(rng.random() * 0.2)
        try:
            for _ in range(rng.randrange(20)):
                if not w.more(): break
        except (TimeoutError, socket.timeout):
            pass
    elif what < 0.7:
        time.sleep(rng.random() * 0.05)
    if rng.random() < 0.2:  # half of the clients wait for no answer; the others get it
        w.end()
        w.socket.settimeout(LIMIT)
        while w.more(): pass
    w.close(hard=rng.random() < 0.5)
    return None


def pipelined(rng):
    path = rng.choice(["/v1/chat/completions", "/v1/completions"])
    ways = [(HEALTH, {200}), (b"GET /v1/none HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}), (post(path, text(base(rng, path))), {200, 503}), (post(path, b"{"), {400}), (post(path, text(base(rng, path)), b"X-Api-Key: x\r\n"), {200, 503})]
    chosen = [rng.choice(ways) for _ in range(rng.randrange(2, 9))]
    w = Wire(url)
    data = b"".join(d for d, _ in chosen)
    while data:  # in pieces that end anywhere
        n = rng.randrange(1, len(data) + 1)
        w.send(data[:n])
        data = data[n:]
    for i, (_, allowed) in enumerate(chosen):
        answer = w.answer()
        problem = f"answer {i} of {len(chosen)} did not come" if answer is None else fault(answer, allowed)
        if problem: return problem
    w.close()
    return None


def large_body(rng, chunked=None):
    """100 MB; the server allows a third of that. It refuses the body, but reads part of it, so that the client sees its
    answer."""
    path = rng.choice(POSTS)
    w = Wire(url)
    chunked = rng.random() < 0.5 if chunked is None else chunked
    block, n = b'"' + b"x" * ((1 << 20) - 1), 100
    head = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % (n << 20))
    w.send(head)
    for _ in range(n):
        if not w.send(b"100000\r\n" + block + b"\r\n" if chunked else block): break
    if chunked: w.send(b"0\r\n\r\n")
    answer = w.answer()
    w.close()
    return fault(answer, {413, 503})


KINDS = [(malformed, 25), (broken_json, 15), (wrong_fields, 30), (any_route, 5), (disconnect, 18), (pipelined, 6)]


def run(i):
    rng = random.Random(f"{seed}:{i}")
    kind = rng.choices([k for k, _ in KINDS], [n for _, n in KINDS])[0]
    if i < 2: kind = large_body
    try:
        return kind.__name__, i, large_body(rng, i == 0) if i < 2 else kind(rng)
    except (TimeoutError, socket.timeout):
        return kind.__name__, i, f"no byte for {LIMIT} s"
    except Exception as e:  # one case reports its fault, and the others continue
        return kind.__name__, i, f"{type(e).__name__}: {e}"


# --------------------------------------------------------------------------------------------------------- all of it


def usual_text():
    return ask(url, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Once upon a time"}], "seed": 7, "max_tokens": 12})[2]["choices"][0]["message"]["content"]


def resident():
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


def disturb(ends):
    rng = random.Random(f"{seed}:signals")
    while not ends.wait(rng.random()):
        for s in rng.choice([(signal.SIGWINCH,), (signal.SIGURG,), (signal.SIGPIPE,), (signal.SIGSTOP, signal.SIGCONT), (signal.SIGCHLD,)]): os.kill(pid, s)


if alone >= 0:
    print(run(alone))
    sys.exit()
before = usual_text()
ends, watched = threading.Event(), []
if pid: threading.Thread(target=disturb, args=(ends,), daemon=True).start()
results = []
with ThreadPoolExecutor(24) as pool:
    for k, result in enumerate(pool.map(run, range(n_cases))):
        results.append(result)
        if pid and os.path.exists("/proc/self/status") and (k + 1) % max(1, n_cases // 8) == 0: watched.append(round(resident()))
ends.set()
for name in dict.fromkeys(k.__name__ for k in [large_body] + [k for k, _ in KINDS]):
    mine = [r for r in results if r[0] == name]
    wrong = [r[1:] for r in mine if r[2]]
    check(f"{name.replace('_', ' ')}: {len(mine)} requests, each answered well or closed", not wrong, f"{len(wrong)} wrong (case, what): {wrong[:3]}")
check("afterwards nothing runs, waits or holds a page", becomes_idle(url))
check("and /health is ok", ask(url, "/health")[2] == {"status": "ok"})
check("and a seed has its usual text", usual_text() == before, before)
if watched:
    print(f"# memory in MB, as the requests went: {watched}")
    check("and memory has stopped growing", len(watched) < 8 or n_cases < 2000 or watched[-1] - watched[len(watched) // 2] < 64, watched)
done()
