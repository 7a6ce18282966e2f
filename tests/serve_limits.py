#!/usr/bin/env python3
"""Limits of mini-cllm serve, each with the options that make it testable (tests/serve_hostile.sh): serve_limits.py
slow|full|unread|streams|models|drain|cut URL [PID]. It waits until something happens, however long that takes.
Prints TAP."""
import json, os, re, resource, signal, socket, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done, skip
from wire import LIMIT, Wire, becomes_idle, metric, post

part, url = sys.argv[1], sys.argv[2]
pid = int(sys.argv[3]) if len(sys.argv) > 3 else 0
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ask_for(tokens, **more):
    return post("/v1/completions", json.dumps({"prompt": "Once upon a time", "max_tokens": tokens, "ignore_eos": True, "seed": 1, **more}).encode())


def is_closed(w, a_second=b"x", answers=False):
    """Does the server end a connection on which a byte comes now and then?"""
    end = time.monotonic() + LIMIT
    w.socket.settimeout(0.2)
    while time.monotonic() < end:
        try:
            data = w.socket.recv(65536)
        except (TimeoutError, socket.timeout):
            if not w.send(a_second): return True
        except ConnectionResetError:
            return True
        else:
            if not data: return True
    return False


def slow():  # --timeout 1
    for name, begin in [("nothing", b""), ("a request line", b"GET /hea"), ("headers", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "), ("a body", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{"),
                        ("a body without an end", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
                        ("a body that is refused", b"POST /v1/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{")]:
        for each in (b"1", b""):
            w = Wire(url)
            w.send(begin)
            check(f"{name}, and then {'a byte now and then' if each else 'silence'}: closed", is_closed(w, each))

    def answered(data):
        """If this machine pauses for a second, the request comes too late. So there is more than one try."""
        for _ in range(5):
            w = Wire(url)
            w.send(data)
            answer = w.answer()
            if answer: break
        return w, answer

    w, answer = answered(HEALTH)
    check("an answer, and then silence: closed", answer and answer[0] == 200 and is_closed(w, b""))
    w, answer = answered(ask_for(300, n=4))
    check("an answer that takes longer than the limit is not cut", answer and answer[0] == 200 and len(json.loads(answer[2])["choices"]) == 4, answer)


def full():  # --timeout 3600 --max-connections-per-address 40 --queue 4 --parallel 1
    wires = [Wire(url) for _ in range(60)]
    for w in wires: w.send(HEALTH)
    answers = [w.answer() for w in wires]
    check("more connections than an address may have: the others are closed", [a[0] for a in answers if a] == [200] * 40, len([a for a in answers if a]))
    for w in wires: w.close()
    end, ready = time.monotonic() + LIMIT, False
    while not ready and time.monotonic() < end:
        try:
            ready = ask(url, "/health")[0] == 200
        except OSError:
            time.sleep(0.1)
    check("and when they have ended there is room again", ready)
    for _ in range(20):  # until the queue was full once
        wires = [Wire(url) for _ in range(20)]
        for w in wires: w.send(ask_for(500))
        answers = [w.answer() for w in wires]
        for w in wires: w.close()
        refused = [a for a in answers if a and a[0] == 503]
        if refused: break
    check("more requests than may wait: 503 with Retry-After, in the API's form", refused and all(int(h["retry-after"]) > 0 and json.loads(b)["error"]["type"] == "unavailable_error" for _, h, b in refused), answers)
    check("and the others are answered", all(a and a[0] in (200, 503) for a in answers), answers)
    status, headers, failure = ask(url, "/v1/completions", {"prompt": "a", "n": 6, "max_tokens": 1})
    check("a request of more texts than may wait is refused whole", status == 503 and headers["Retry-After"], failure)
    check("nothing runs afterwards", becomes_idle(url))


def unread():  # --timeout 3600: nothing else would end them
    gone = metric(url, "requests_cancelled_total")
    w = Wire(url, small=True)
    w.send(ask_for(900, n=64, stream=True, logprobs=20))
    check("a stream that its client does not read begins", w.until(b"data: ") is not None)
    check("and is ended when too much waits", becomes_idle(url) and metric(url, "requests_cancelled_total") > gone)
    while w.more(): w.buffer = w.buffer[-100:]
    check("its connection is closed before the end", b"[DONE]" not in w.buffer, w.buffer)
    wires = [Wire(url) for _ in range(12)]  # in slots and in the queue
    wires[0].send(ask_for(900, n=8, stream=True))
    wires[0].until(b"data: ")
    for w in wires[1:]: w.send(ask_for(900, n=8, stream=w is not wires[3]))
    for w in wires: w.close()
    check("clients that go away while they wait or read leave nothing", becomes_idle(url))


def models():  # two models, --models-max 1 --sleep-idle-seconds 1
    names = [m["id"] for m in ask(url, "/v1/models")[2]["data"]]
    before = {name: ask(url, "/v1/completions", {"model": name, "prompt": "Once", "seed": 3, "max_tokens": 5})[2]["choices"][0]["text"] for name in names}
    served = [ask(url, f"/metrics?model={name}") for name in names]
    check("metrics of each model: of the one that is loaded, and nothing of the other", [s for s, _, _ in served] == [200] * 2 and ["llamacpp:requests_total 1\n" in text for _, _, text in served] == [False, True]
          and served[0][2] == "", served)
    check("without a name: of the one that is loaded", "llamacpp:requests_total 1\n" in ask(url, "/metrics")[2])
    status, _, failure = ask(url, "/metrics?model=nobody")
    check("metrics of an unknown model: 404", status == 404 and failure["error"]["code"] == 404 and "nobody" in failure["error"]["message"], failure)
    check("a model that is not loaded tells its context", [m["context_length"] for m in ask(url, "/v1/models")[2]["data"]] == [1024] * 2)
    answers = []
    while len(answers) < 4 and 200 not in answers:  # on a slow machine the first may take too long
        w = Wire(url)
        w.send(ask_for(400 >> len(answers), model=names[0], stream=True))
        w.until(b"data: ")
        answers.append(ask(url, "/v1/completions", {"model": names[1], "prompt": "Once", "max_tokens": 1})[0])
        w.close()
    check("a request waits until another model is let go", 200 in answers, answers)
    together = []
    while together.count(200) < 12 and len(together) < 60:  # several wait for the same model: one loads it, for all
        w = Wire(url)
        w.send(ask_for(100, model=names[0], stream=True))
        w.until(b"data: ")
        both = [threading.Thread(target=lambda: together.append(ask(url, "/v1/completions", {"model": names[1], "prompt": "Once", "max_tokens": 1, "seed": 1})[0])) for _ in range(3)]
        for t in both: t.start()
        for t in both: t.join()
        w.close()
    check("and so do several that want the same", together.count(200) >= 12, together)
    wrong, ends = [], threading.Event()

    def look():
        while not ends.is_set():
            if ask(url, "/health")[0] != 200 or ask(url, "/v1/models")[0] != 200 or ask(url, "/metrics")[0] != 200: wrong.append("look")

    def use(k):
        for i in range(30):
            name = names[(k + i // 5) % len(names)]
            status, headers, answer = ask(url, "/v1/completions", {"model": name, "prompt": "Once", "seed": 3, "max_tokens": 5})
            if not (status == 503 and headers["Retry-After"]) and (status != 200 or answer["choices"][0]["text"] != before[name]): wrong.append((status, answer))
            if i % 10 == 9: time.sleep(1.2)  # so that the model may be asleep

    lookers, users = [threading.Thread(target=look) for _ in range(2)], [threading.Thread(target=use, args=(k,)) for k in range(4)]
    for t in lookers + users: t.start()
    for t in users: t.join()
    ends.set()
    for t in lookers: t.join()
    check("models that come and go under load", len(names) == 2 and not wrong, wrong[:3])
    end = time.monotonic() + LIMIT
    while any("meta" in m for m in ask(url, "/v1/models")[2]["data"]) and time.monotonic() < end: time.sleep(0.1)
    check("and sleep when nobody asks, whoever looks at them", not any("meta" in m for m in ask(url, "/v1/models")[2]["data"]))
    check("a server that sleeps is healthy", ask(url, "/health")[0] == 200)
    check("and wakes again", ask(url, "/v1/completions", {"model": names[0], "prompt": "Once", "seed": 3, "max_tokens": 5})[2]["choices"][0]["text"] == before[names[0]])


def resident():
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def streams():  # --timeout 3600 --queue 2000 --parallel 1
    """The memory that a client costs while it waits for its turn."""
    count, name = 1000, "streams that wait take less than 64 KB each"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 50: return skip(name, f"this process may open {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 50), hard))
    before, wires = resident() if os.path.exists("/proc/self/status") else 0, []
    for _ in range(count):
        wires.append(Wire(url))
        wires[-1].send(ask_for(900, stream=True))
    heads = [w.until(b"\r\n\r\n") for w in wires]
    check(f"{count} streams begin at once", all(h and b" 200 " in h for h in heads))
    if not before: skip(name, "there is no /proc here")
    elif os.environ.get("SANITIZE"): skip(name, "a sanitizer takes its own share")
    else:
        each = (resident() - before) / count
        check(name, each < 64, f"{each:.1f} KB")
        print(f"# {each:.1f} KB each")
    for w in wires: w.close()
    check("and leave nothing when they go", becomes_idle(url))


def refused():
    """No new connection is taken."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            Wire(url).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # a connection that nobody had accepted when the server closed its socket
            pass
        time.sleep(0.05)
    return False


def drain():  # --drain 3600
    idle, open_one, half = Wire(url), Wire(url), Wire(url)
    half.send(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n")
    half.until(b"100 Continue\r\n\r\n")  # so the request has begun for the server, too
    half.send(b"{")
    open_one.send(ask_for(900, n=4, stream=True))  # short enough that all of it can wait until the client reads it
    head = open_one.until(b"data: ")
    os.kill(pid, signal.SIGTERM)
    check("after SIGTERM no connection is taken", refused())
    half.send(b'"prompt":"a"}')
    check("a request that had begun is read and answered", half.answer()[0] == 200)
    while open_one.more(): pass
    check("a stream goes on to its end", head and open_one.buffer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), open_one.buffer[-100:])
    check("a connection without a request is closed", is_closed(idle, b""))


def cut():  # --drain 1, or a second signal
    wires = [Wire(url) for _ in range(6)]
    wires[0].send(ask_for(900, n=128, stream=True))
    wires[0].until(b"data: ")
    for w in wires[1:]: w.send(ask_for(900, n=128, stream=w is not wires[1]))
    os.kill(pid, signal.SIGTERM)
    if len(sys.argv) > 4:
        check("after SIGTERM no connection is taken", refused())
        os.kill(pid, signal.SIGTERM)
    for w in wires:
        while w.more(): w.buffer = w.buffer[-1000:]
    ended = [w.buffer.endswith(b"0\r\n\r\n") and b"shutting down" not in w.buffer for w in wires if w is not wires[1]]
    check("what has not ended is cut, or told why", not ended[-1] and ended == sorted(ended, reverse=True), [w.buffer for w in wires])


{"slow": slow, "full": full, "unread": unread, "streams": streams, "models": models, "drain": drain, "cut": cut}[part]()
done()
