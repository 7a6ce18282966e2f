#!/usr/bin/env python3
"""Every client gets the same bits as alone: serve_bits.py URL PROGRAM MODEL N_CLIENTS [OPTION of the program...].
Clients with seeds and prompts of their own ask at the same time, some disconnect within their text, and everything
is done twice with other timing (under a sanitizer once). Each text must be that of the command line. Prints TAP."""
import json, os, random, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, connect, done, events
from wire import becomes_idle, metric

url, program, model, n_clients = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
options = sys.argv[5:]
seed = int(os.environ.get("MINICLLM_TEST_SEED") or time.time())
rng = random.Random(seed)
END = 2  # </s>, of both models that this is run with
words = "the a cat dog sea old house and was in village of king queen blue went to they saw night star".split()
shared = " ".join(rng.choice(words) for _ in range(200))  # with a request's own words and its answer: one page or two


class Request:
    def __init__(self, i):
        own = " ".join(rng.choice(words) for _ in range(rng.randint(1, 60)))
        self.prompt = (shared[: rng.randint(0, len(shared))] + " " + own) if rng.random() < 0.6 else own
        self.seed = rng.randint(0, 2**32)
        self.n = rng.randint(5, 160)
        self.temperature = rng.choice([0, 0.7, 1.3])
        self.cancels = rng.random() < 0.25
        self.streams = rng.random() < 0.5
        self.cached = rng.random() < 0.8
        self.grows = rng.random() < 0.6  # over several pages
        if self.grows:
            self.n = 600

    def body(self):
        return {"prompt": self.prompt, "seed": self.seed, "max_tokens": self.n, "temperature": self.temperature, "stream": self.streams or self.cancels,
                "cache_prompt": self.cached, **({"logit_bias": [[END, False]]} if self.grows else {})}

    def by_command(self):
        made = subprocess.run([program, model, "-p", self.prompt, "-n", str(self.n), "--seed", str(self.seed), "-t", str(self.temperature), "-q", *(["--logit-bias", f"{END}-inf"] if self.grows else []), *options],
                              capture_output=True, timeout=300)
        return made.stdout.decode("utf-8")[:-1]


requests = [[Request(i) for i in range(3)] for _ in range(n_clients)]
wanted = {id(r): r.by_command() for client in requests for r in client if not r.cancels}


def run(client, pauses, wrong):
    for r in client:
        time.sleep(pauses.random() * 0.05)
        try:
            if r.cancels:
                c = connect(url)
                c.request("POST", "/v1/completions", json.dumps(r.body()))
                answer = c.getresponse()
                answer.read(pauses.randint(1, 600))
                c.sock and c.sock.close()
                c.close()
                continue
            if r.streams:
                text = "".join(c["choices"][0]["text"] for c in events(url, "/v1/completions", r.body()) if c["choices"])
            else:
                text = ask(url, "/v1/completions", r.body())[2]["choices"][0]["text"]
            if text != wanted[id(r)]:
                wrong.append((r.body(), text, wanted[id(r)]))
        except Exception as e:
            wrong.append((r.body(), repr(e)))


for attempt in [1] if os.environ.get("SANITIZE") else [1, 2]:
    wrong = []
    threads = [threading.Thread(target=run, args=(client, random.Random(seed + attempt * 1000 + i), wrong)) for i, client in enumerate(requests)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(f"{n_clients} clients at a time, time {attempt} (seed {seed}): each text is the command line's", not wrong, f"{len(wrong)} wrong, the first: {wrong[:1]}")


check("what they used is free", becomes_idle(url), ask(url, "/metrics")[2])
check("some gave their pages to others meanwhile", metric(url, "requests_gave_way_total") > 0)
check("some found their beginning in the cache", metric(url, "cached_tokens_total") > 0)
done()
