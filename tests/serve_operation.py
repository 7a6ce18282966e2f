#!/usr/bin/env python3
"""How mini-cllm serve is operated: serve_operation.py PROGRAM MODEL. Prints TAP."""
import http.client, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, connect, done, skip
from servers import PATIENCE, Server, free_port, until
from wire import Wire, metrics

program, model = sys.argv[1:]
# the path of a socket must be short
temporary = tempfile.TemporaryDirectory(prefix="serve-operation-", dir="/tmp" if len(tempfile.gettempdir()) > 60 else None)
QUESTION = [{"role": "user", "content": "Once upon a time"}]
CHAT = ("--chat-template", "chatml")


def at(name):
    return os.path.join(temporary.name, name)


def put(name, text):
    with open(at(name), "w") as f:
        f.write(text)
    return at(name)


# ------------------------------------------------------------------------------------------------- start


def answers(url, path):
    try:
        return ask(url, path)
    except OSError:
        return (0, {}, "")


def test_start():
    """The chat template is a pipe: loading waits until somebody writes to it."""
    os.mkfifo(at("template"))
    notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notes.bind(at("notify"))
    notes.settimeout(PATIENCE)
    with Server(program, model, "--chat-template", at("template"), port=free_port(), waits=False, environment={"NOTIFY_SOCKET": at("notify")}) as s:
        until(lambda: answers(s.url, "/health")[0], "the server answers", s.process)
        status, headers, body = ask(s.url, "/health")
        check("start: /health is 503 while the model loads", status == 503 and "Retry-After" in headers and body["error"]["message"] == "Loading model", (status, body))
        waiting = []
        asker = threading.Thread(target=lambda: waiting.append(ask(s.url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 2})))
        asker.start()
        notes.setblocking(False)
        try:
            early = notes.recv(100)
        except BlockingIOError:
            early = b""
        notes.settimeout(PATIENCE)
        check("start: and systemd is told nothing", early == b"", early)
        with open(at("template"), "w") as f:
            f.write("{% for m in messages %}{{ m.content }}{% endfor %}")
        check("start: READY=1 when it is loaded", notes.recv(100) == b"READY=1")
        check("start: /health is 200", ask(s.url, "/health")[0] == 200)
        asker.join(PATIENCE)
        check("start: who asked meanwhile was answered", waiting and waiting[0][0] == 200, waiting)
        s.signal()
        check("end: STOPPING=1", notes.recv(100) == b"STOPPING=1")
        check("end: SIGTERM is status 143", s.wait() == 143, s.log())
    notes.close()


# --------------------------------------------------------------------------------------------------- end


class Stream:
    """A stream of very long texts. The first event is read here, and the rest by a thread, because a stream that nobody
    reads is cut."""

    def __init__(self, url, path="/v1/chat/completions", n=128, headers=None, reads=True):
        self.connection = connect(url, PATIENCE)
        body = {"messages": QUESTION, "stream": True, "n": n, "ignore_eos": True, "max_tokens": 5000}
        if path == "/v1/messages":  # one text, which fills the context
            body = {"messages": QUESTION, "stream": True, "max_tokens": 100000, "ignore_eos": True}
        self.connection.request("POST", path, json.dumps(body), headers or {})
        self.response = self.connection.getresponse()
        self.first = self.response.readline()
        self.lines = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        if reads: self.reader.start()

    def read(self):
        try:
            self.lines = [self.first] + self.response.read().split(b"\n")
        except (http.client.HTTPException, OSError):
            pass

    def rest(self):
        """Its lines, or None if it was cut."""
        self.reader.join()
        return self.lines


def ending(s):
    return "ending: open requests have" in s.log()


def refused(url):
    parts = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), PATIENCE).close()
        return False
    except ConnectionRefusedError:
        return True


def test_drain():
    with Server(program, model, *CHAT, "--ctx", "512", "--drain", str(PATIENCE)) as s:
        kept = connect(s.url, PATIENCE)
        kept.request("GET", "/health")
        kept.getresponse().read()
        half = Wire(s.url)  # the server does not end before this request is complete
        half.send(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 29\r\nExpect: 100-continue\r\n\r\n")
        half.until(b"100 Continue\r\n\r\n")
        stream = Stream(s.url, n=16)
        s.signal()
        until(lambda: ending(s), "the log tells of the end", s.process)
        check("drain: new connections are refused", refused(s.url))
        kept.request("GET", "/health")
        answer = kept.getresponse()
        check("drain: a connection that is open closes after its answer", answer.status == 200 and answer.getheader("Connection") == "close", answer.getheaders())
        lines = stream.rest()
        reasons = [json.loads(l[6:])["choices"][0]["finish_reason"] for l in lines or [] if l.startswith(b"data: {")]
        check("drain: an open stream ends whole", lines and b"data: [DONE]" in lines and reasons.count("length") == 16, (lines or [])[-3:])
        half.send(b'{"prompt":"a","max_tokens":1}')
        check("drain: a request that had begun is answered", half.answer()[0] == 200)
        check("drain: then the server ends", s.wait() == 143, s.log())


def is_failure(line):
    return line.startswith(b"data: {") and json.loads(line[6:]).get("error", {}).get("message") == "the server is shutting down"


def test_cut(path):
    with Server(program, model, *CHAT, "--ctx", "200000" if path == "/v1/messages" else "4096", "--drain", "0") as s:
        stream = Stream(s.url, path)
        whole, waiting = [], count(s.url, "requests_deferred")  # only texts of the stream wait now
        asker = threading.Thread(target=lambda: whole.append(ask(s.url, "/v1/chat/completions", {"messages": QUESTION, "n": 128, "ignore_eos": True})))
        asker.start()
        until(lambda: count(s.url, "requests_deferred") > waiting + 64, "the second request waits", s.process)
        s.signal()
        lines = stream.rest()
        failures = [l for l in lines or [] if is_failure(l)]
        check(f"--drain 0: {path}: a stream is told, in its API's form, and ends in order", len(failures) == 1, (lines or ["cut"])[-4:])
        if path == "/v1/messages" and failures:
            check("--drain 0: in Anthropic's form", json.loads(failures[0][6:])["type"] == "error" and b"event: error" in lines, lines[-4:])
        elif failures:
            check("--drain 0: in OpenAI's form", json.loads(failures[0][6:])["error"]["type"] == "unavailable_error" and lines[-3] == b"data: [DONE]", lines[-4:])
        asker.join(PATIENCE)
        check(f"--drain 0: {path}: and who waits for a whole answer gets status 503", whole and whole[0][0] == 503 and "error" in whole[0][2], whole)
        check(f"--drain 0: {path}: status 143", s.wait() == 143, s.log())


def test_second_signal():
    with Server(program, model, *CHAT, "--ctx", "4096", "--drain", str(PATIENCE)) as s:
        stream = Stream(s.url)
        s.signal()
        until(lambda: ending(s), "the log tells of the end", s.process)
        s.signal()
        check("a second signal: status 143", s.wait() == 143, s.log())
        lines = stream.rest()
        check("a second signal: nothing is awaited", lines is None or b"data: [DONE]" not in lines, (lines or [])[-3:])


# --------------------------------------------------------------------------------------------------- log

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (\S+) 127\.0\.0\.1 (\S+) (\S+) (\d+) (\d+) bytes [\d.]+ ms(?: prompt (\d+) \(\d+ cached\) generated (\d+))?$", re.M)
SECRET = "the zebra\nwears \x1b[31m a \u202e hat"


def logged(s, identity, what="the request is logged"):
    return until(lambda: [l for l in s.log().split("\n")[:-1] if identity in l], what, s.process)


def test_text_log():
    with Server(program, model, *CHAT) as s:
        _, headers, answer = ask(s.url, "/v1/chat/completions?beta=true", {"messages": [{"role": "user", "content": SECRET}], "max_tokens": 5, "ignore_eos": True})
        identity = headers["X-Request-Id"]
        lines = logged(s, identity)
        found = LINE.match(lines[0])
        check("log: a line has id, address, method, path, status, bytes, tokens", len(lines) == 1 and found and found.groups()[:4] == (identity, "POST", "/v1/chat/completions", "200") and
              int(found[6]) == answer["usage"]["prompt_tokens"] and found[7] == "5", lines)
        _, headers, _ = ask(s.url, "/no\x1b[31m/such".replace("\x1b", "%1b"))
        lines = logged(s, headers["X-Request-Id"])
        check("log: a path is escaped", "\x1b" not in s.log() and "\\x1B[31m" in lines[0] and " 404 " in lines[0], lines)
        check("log: prompts are not in it", "zebra" not in s.log(), s.log())
        identities = [ask(s.url, "/health")[1]["X-Request-Id"] for _ in range(5)]
        check("log: each request has an id of its own", len(set(identities)) == 5, identities)
    with Server(program, model, *CHAT, "--log-prompts") as s:
        identity = ask(s.url, "/v1/chat/completions", {"messages": [{"role": "user", "content": SECRET}], "max_tokens": 5})[1]["X-Request-Id"]
        logged(s, identity + " 127.0.0.1")
        lines = logged(s, identity)
        check("--log-prompts: a line has the prompt, escaped", len(lines) == 2 and lines[0].startswith(identity + " prompt 0: ") and "the zebra\\nwears \\x1B[31m a \\u202E hat" in lines[0], lines)
        identity = ask(s.url, "/v1/completions", {"prompt": ["first", "second"], "max_tokens": 1})[1]["X-Request-Id"]
        logged(s, identity + " 127.0.0.1")
        check("--log-prompts: of several prompts each", [l.split(": ")[0] for l in logged(s, identity)[:2]] == [identity + " prompt 0", identity + " prompt 1"], logged(s, identity))
    with Server(program, model, *CHAT, "--log-prompts", "--ctx", "8192") as s:
        identity = ask(s.url, "/v1/completions", {"prompt": "begin " + "once " * 900 + "the end", "max_tokens": 1})[1]["X-Request-Id"]
        line = logged(s, identity + " prompt")[0].split(": ", 1)[1]
        check("--log-prompts: of a long one the last 4000 bytes", line.startswith("...") and line.endswith("once the end") and len(line) == 4000, (len(line), line[:20], line[-20:]))


def test_json_log():
    with Server(program, model, *CHAT, "--log-format", "json", "--log-prompts") as s:
        _, headers, answer = ask(s.url, "/v1/chat/completions", {"messages": [{"role": "user", "content": SECRET}], "max_tokens": 5, "ignore_eos": True})
        identity = headers["X-Request-Id"]
        logged(s, '"status"')
        said, line = (json.loads(l) for l in logged(s, identity))
        check("--log-format json: a line", line["id"] == identity and line["method"] == "POST" and line["path"] == "/v1/chat/completions" and line["status"] == 200 and line["completion_tokens"] == 5 and
              line["prompt_tokens"] == answer["usage"]["prompt_tokens"] and line["bytes"] > 0 and line["ms"] >= 0 and line["address"] == "127.0.0.1", line)
        check("--log-format json: every line is an object, with a time or what it is of", all(set(json.loads(l)) & {"time", "id"} for l in s.log().split("\n")[:-1]), s.log())
        check("--log-format json: and one of the prompt", said["id"] == identity and said["prompt"] == 0 and SECRET in said["text"], said)
    with Server(program, model, *CHAT, "--quiet", waits=False, port=free_port()) as s:
        until(lambda: answers(s.url, "/health")[0] == 200, "the server is ready", s.process)
        ask(s.url, "/v1/models")
        s.signal()
        check("--quiet: nothing is logged", s.wait() == 143 and s.log() == "", s.log())


# ----------------------------------------------------------------------------------------- who may ask, where


def test_keys():
    keys = put("keys", "# clients\none-key\r\nother-key\n\n")
    with Server(program, model, *CHAT, "--api-key", "first,#second", "--api-key-file", keys, "--cors", "https://a.example", "--cors", "tauri://localhost", "--cors", "null",
                "--allow-host", "llm.example") as s:
        for key in ("first", "#second", "one-key", "other-key"):
            check(f"keys: {key}", ask(s.url, "/v1/models", headers={"Authorization": "Bearer " + key})[0] == 200)
        for name, headers in {"none": {}, "a wrong one": {"Authorization": "Bearer third"}, "a comment": {"Authorization": "Bearer # clients"}, "a part": {"Authorization": "Bearer firs"},
                              "an empty one": {"Authorization": "Bearer "}, "both": {"Authorization": "Bearer first,#second"}}.items():
            status, _, failure = ask(s.url, "/v1/models", headers=headers)
            check(f"keys: {name} is 401", status == 401 and failure["error"]["code"] == "invalid_api_key", (status, failure))
        check("keys: X-Api-Key", ask(s.url, "/v1/models", headers={"X-Api-Key": "first"})[0] == 200)
        check("keys: /health needs none, /metrics does", (ask(s.url, "/health")[0], ask(s.url, "/metrics")[0]) == (200, 401))

        for origin, allowed in {"https://a.example": True, "tauri://localhost": True, "null": True, "https://b.example": False, "https://a.example.evil": False}.items():
            status, headers, _ = ask(s.url, "/v1/chat/completions", method="OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os"})
            check(f"--cors: {origin} {'may' if allowed else 'may not'}", status == 204 and headers["Access-Control-Allow-Origin"] == (origin if allowed else None), headers)
            if allowed:
                check("--cors: any header may come, without a key before", "x-stainless-os" in headers["Access-Control-Allow-Headers"] and "POST" in headers["Access-Control-Allow-Methods"], headers)
        status, headers, _ = ask(s.url, "/v1/models", headers={"Origin": "https://a.example"})
        check("--cors: a failure can be read, too", status == 401 and headers["Access-Control-Allow-Origin"] == "https://a.example", headers)

        for host, status in {"localhost": 200, "127.0.0.1:1": 200, "[::1]:80": 200, "llm.example": 200, "LLM.example:443": 200, "evil.example": 403, "127.0.0.1.evil.example": 403}.items():
            check(f"Host: {host} is {status}", ask(s.url, "/health", headers={"Host": host})[0] == status)
    with Server(program, model, *CHAT, "--cors", "*", "--no-webui") as s:
        check("--cors *", ask(s.url, "/v1/models", headers={"Origin": "https://b.example"})[1]["Access-Control-Allow-Origin"] == "*")
        check("--no-webui: no page and no file of it, but the description of the API", ask(s.url, "/", headers={"Accept": "text/html"})[2] == "Ollama is running" and ask(s.url, "/page.js")[0] == 404 and ask(s.url, "/openapi.json")[0] == 200)
    with Server(program, model, *CHAT) as s:
        check("without --cors no page of another origin", ask(s.url, "/v1/models", headers={"Origin": "https://b.example"})[1]["Access-Control-Allow-Origin"] is None)
    for options, said in {("--host", "0.0.0.0"): "--api-key", ("--api-key-file", put("empty", "# none\n")): "there is no key in", ("--api-key-file", at("nowhere")): "nowhere"}.items():
        ran = subprocess.run([program, "serve", model, "--port", "0", *options], capture_output=True, text=True, timeout=PATIENCE)
        check(f"{' '.join(options[:1])}: refused, with the reason", ran.returncode in (1, 2) and said in ran.stderr and "listening" not in ran.stderr, (ran.returncode, ran.stderr))


def test_prefix():
    with Server(program, model, *CHAT, "--api-prefix", "/llm") as s:
        base = s.url.removesuffix("/llm")
        check("--api-prefix: it is told", s.url.endswith("/llm"), s.url)
        status, headers, _ = ask(base, "/llm", headers={"Accept": "text/html"})
        check("--api-prefix: the prefix alone moves to its slash", status == 308 and headers["Location"] == "/llm/", (status, headers))
        status, headers, page = ask(base, "/llm/", headers={"Accept": "text/html"})
        check("--api-prefix: there the page is", status == 200 and headers["Content-Type"].startswith("text/html"), (status, headers))
        for name in re.findall(r'(?:src|href)="([^"#:]+)"', page):
            path = urllib.parse.urljoin("/llm/", name)
            check(f"--api-prefix: the page's {name}", path.startswith("/llm/") and ask(base, path)[0] == 200, path)
        check("--api-prefix: an endpoint", ask(base, "/llm/v1/models")[0] == 200)
        check("--api-prefix: another path that begins so is none", ask(base, "/llmx/v1/models")[0] == 404)


# ------------------------------------------------------------------------------------------------ ignore_eos


def test_shared_prompt():
    """Several requests come at once and begin alike. One of them evaluates the beginning for all."""
    n_clients, n_shared, n_own = 6, 700, 20
    with Server(program, model, *CHAT, "--ctx", "8192", "--parallel", str(n_clients)) as s:
        for turn in range(5):
            prompts, used = [[3 + (7 * i + turn) % 200 for i in range(n_shared)] + [3 + (11 * i + client) % 200 for i in range(n_own)] for client in range(n_clients)], []
            together = threading.Barrier(n_clients)

            def client(prompt):
                together.wait()
                used.append(ask(s.url, "/v1/completions", {"prompt": prompt, "max_tokens": 2, "ignore_eos": True})[2]["usage"]["prompt_tokens_details"]["cached_tokens"])

            clients = [threading.Thread(target=client, args=(p,)) for p in prompts]
            for t in clients: t.start()
            for t in clients: t.join()
            used.sort()
            if used[1] < n_shared: break
        check("requests that begin alike evaluate their beginning once", len(used) == n_clients and used[0] < n_shared <= used[1], used)


def test_many_texts():
    """Between the texts of a request for vectors, other requests get their turn."""
    with Server(program, model, *CHAT) as s:
        for n in (300, 1000, 3000):  # until the other request came while they were evaluated
            answer = []
            asker = threading.Thread(target=lambda: answer.append(ask(s.url, "/v1/embeddings", {"input": [f"the {i} old king and the sea " * 10 for i in range(n)]})))
            asker.start()
            until(lambda: answer or count(s.url, "requests_processing") > 0, "the texts are worked on", s.process)
            status, n_answers = ask(s.url, "/v1/completions", {"prompt": "Once", "max_tokens": 2})[0], len(answer)
            asker.join(PATIENCE)
            if n_answers == 0: break
        check("a request goes between the texts of one that came before", status == 200 and n_answers == 0, (status, n_answers))
        check("and the texts have their vectors", answer and answer[0][0] == 200 and [e["index"] for e in answer[0][2]["data"]] == list(range(n)), answer)


def test_ignore_eos():
    with Server(program, model, *CHAT, "--ctx", "1024") as s:
        for path, body in {"/v1/chat/completions": {"messages": QUESTION}, "/v1/completions": {"prompt": "Once upon a time"}, "/v1/messages": {"messages": QUESTION}}.items():
            def end(**more):
                answer = ask(s.url, path, {**body, "max_tokens": 500, **more})[2]
                counts = answer["usage"]
                return (answer["choices"][0]["finish_reason"] if "choices" in answer else answer["stop_reason"], counts.get("completion_tokens", counts.get("output_tokens")))
            seed = next((seed for seed in range(1, 50) if end(seed=seed)[0] in ("stop", "end_turn")), None)
            if seed is None:
                skip(f"ignore_eos: {path}", "the model ends no text")
                continue
            check(f"ignore_eos: {path} goes on", end(seed=seed, ignore_eos=True) in (("length", 500), ("max_tokens", 500)), end(seed=seed, ignore_eos=True))
        word = ask(s.url, "/v1/chat/completions", {"messages": QUESTION, "ignore_eos": True, "guided_choice": ["yes", "no"]})[2]["choices"][0]
        check("ignore_eos: a form that is whole ends all the same", word["finish_reason"] == "stop" and word["message"]["content"] in ("yes", "no"), word)
        biased = ask(s.url, "/v1/completions", {"prompt": "Once", "max_tokens": 1, "temperature": 0, "logprobs": 1})[2]["choices"][0]["logprobs"]["tokens"][0]
        other = ask(s.url, "/v1/completions", {"prompt": "Once", "max_tokens": 1, "temperature": 0, "logit_bias": [[biased, False]], "ignore_eos": True, "logprobs": 1})[2]["choices"][0]["logprobs"]["tokens"][0]
        check("ignore_eos: beside a logit_bias, which holds", biased != other, (biased, other))


# --------------------------------------------------------------------------------------------------- proxies


def count(url, name):
    return int(float(re.search(rf"^llamacpp:{name} (\S+)$", ask(url, "/metrics")[2], re.M)[1]))


def example(name, ports):
    """The example as it is, with other ports."""
    text = open("examples/serve/" + name).read()
    for old, new in zip((8000, 8081, 8082), ports):
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    return put(name, text)


def start_haproxy(ports, output):
    return subprocess.Popen(["haproxy", "-db", "-f", example("haproxy.cfg", ports)], stdout=output, stderr=output)


def start_nginx(ports, output):
    os.chmod(temporary.name, 0o755)
    return subprocess.Popen(["nginx", "-p", temporary.name, "-c", example("nginx.conf", ports), "-g", f"daemon off; error_log stderr; pid {at('nginx.pid')};"], stdout=output, stderr=output)


def say(url, headers):
    status, answered, body = ask(url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 3}, headers=headers)
    return status, answered, body


def test_proxy(name, start):
    port = free_port()
    with Server(program, model, *CHAT, "--ctx", "4096", "--drain", "0") as a, Server(program, model, *CHAT, "--ctx", "4096", "--drain", "0") as b, open(at(name + ".log"), "w+") as output:
        replicas = (a, b)
        ports = [port] + [urllib.parse.urlsplit(s.url).port for s in replicas]
        proxy = start(ports, output)
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: answers(url, "/health")[0] == 200, f"{name} answers", proxy)
            homes = {}

            def ended():
                return open(at(name + ".log")).read().count("POST /v1/chat/completions")

            def say_alone(headers):
                """HAProxy counts a request until it has logged it. If a replica has more requests than the
                average, new ones go elsewhere."""
                n_before = ended()
                answered = say(url, headers)
                if name == "haproxy":
                    until(lambda: ended() > n_before, "the request has ended in the proxy", proxy)
                    time.sleep(0.02)
                return answered

            for by in ("X-Conversation-Id", "Authorization"):
                mine = []
                # nginx also chooses by ports, so one replica may get more than 12
                while len(mine) < 12 or (len(set(mine)) < 2 and len(mine) < 60):
                    i = len(mine)
                    headers = {by: f"Bearer {i}" if by == "Authorization" else f"conversation {i}"}
                    if by == "X-Conversation-Id":
                        headers["Authorization"] = "Bearer same"
                    home = None
                    for _ in range(3):  # the proxy may still count a request that has ended
                        before = [count(s.url, "requests_total") for s in replicas]
                        answered = [say_alone(headers) for _ in range(3)]
                        grew = [count(s.url, "requests_total") - n for s, n in zip(replicas, before)]
                        if sorted(grew) == [0, 3] and all(s == 200 for s, _, _ in answered):
                            home = grew.index(3)
                            break
                    homes[by, i] = home
                    mine.append(home)
                    if i == 0:
                        usage = answered[2][2]["usage"]
                        identity = answered[2][1]["X-Request-Id"]
                        check(f"{name}: {by}: a later request finds its prompt in the cache", usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1, usage)
                        check(f"{name}: {by}: X-Request-Id is the replica's", homes[by, i] is not None and identity in replicas[homes[by, i]].log(), identity)
                check(f"{name}: {by}: the requests of one conversation reach one replica", None not in mine, mine)
                check(f"{name}: {by}: and both replicas have some", set(mine) >= {0, 1}, mine)

            stream = Stream(url, reads=False)
            check(f"{name}: a stream's first event comes before its last", stream.first.startswith(b"data: {") and sum(count(s.url, "requests_processing") for s in replicas) > 0)
            stream.response.close()
            stream.connection.close()
            until(lambda: not any(any(metrics(s.url, "requests_processing", "requests_deferred")) for s in replicas), "the replica ends what nobody reads")
            check(f"{name}: a client that goes away is told to the replica", sum(count(s.url, "requests_cancelled_total") for s in replicas) > 0)

            i = next(i for (kind, i), home in homes.items() if kind == "X-Conversation-Id" and home == 0)
            a.kill()
            check(f"{name}: when a replica is killed, the other takes its conversations", [say(url, {"X-Conversation-Id": f"conversation {i}"})[0] for _ in range(5)] == [200] * 5)
            if name == "haproxy":
                until(lambda: re.search(r"replica1 is DOWN", open(at(name + ".log")).read()), "HAProxy leaves the replica out", proxy)
                # the proxy's checks of the replica may be late, too
                until(lambda: say(url, {"X-Conversation-Id": f"conversation {i}"})[0] == 200, "the other is up", proxy)
                check("haproxy: the health check leaves it out", True)
        finally:
            proxy.terminate()  # nginx ends its workers, too
            proxy.wait(PATIENCE)


def test_files():
    if shutil.which("systemd-analyze"):
        unit = open("examples/serve/mini-cllm.service").read()
        # the man page is not installed
        unit = unit.replace("/usr/local/bin/mini-cllm", os.path.abspath(program)).replace("Documentation=man:mini-cllm(1)\n", "")
        ran = subprocess.run(["systemd-analyze", "verify", put("mini-cllm.service", unit)], capture_output=True, text=True, timeout=PATIENCE)
        check("mini-cllm.service: systemd-analyze verify", ran.returncode == 0 and "mini-cllm.service" not in ran.stderr, ran.stderr)
    else:
        skip("mini-cllm.service", "systemd-analyze is missing")


test_start()
test_drain()
test_cut("/v1/chat/completions")
test_cut("/v1/messages")
test_second_signal()
test_text_log()
test_json_log()
test_keys()
test_prefix()
test_shared_prompt()
test_many_texts()
test_ignore_eos()
os.environ["PATH"] += ":/usr/sbin"
version = re.search(r"version (\d+)\.(\d+)", subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout) if shutil.which("haproxy") else None
if version and (int(version[1]), int(version[2])) >= (2, 6):
    test_proxy("haproxy", start_haproxy)
else:
    skip("behind HAProxy", "haproxy is missing (scripts/setup ci), or older than 2.6")
if shutil.which("nginx") and os.geteuid() == 0:
    test_proxy("nginx", start_nginx)
else:
    skip("behind nginx", "nginx is missing, or this is not root")
test_files()
done()
