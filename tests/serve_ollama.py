#!/usr/bin/env python3
"""ollama's API as mini-cllm serves it, with tests/support/ollama.jinja as template: serve_ollama.py URL. Prints
TAP."""
import datetime, http.client, json, os, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, connect, done, events
from servers import until

url = sys.argv[1]
QUESTION = [{"role": "user", "content": "Once upon a time"}]
SEED = {"seed": 7, "num_predict": 12}
DURATIONS = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


def chat(body, **more):
    return ask(url, "/api/chat", {"model": model, "stream": False, "messages": QUESTION, "options": SEED, **body}, **more)


def generate(body):
    return ask(url, "/api/generate", {"model": model, "stream": False, "prompt": "Once upon a time", "options": SEED, **body})


def refused(name, answer, status, *words):
    check(name, answer[0] == status and list(answer[2]) == ["error"] and all(w in answer[2]["error"] for w in words), answer)


# ---- models
tags = ask(url, "/api/tags")[2]["models"]
model = tags[0]["name"]
check("tags: one model, with a tag, its size and its details", len(tags) == 1 and model == tags[0]["model"] and model.endswith(":latest") and tags[0]["size"] > 0 and
      len(tags[0]["digest"]) == 64 and tags[0]["details"]["format"] == "gguf" and tags[0]["details"]["families"] == [tags[0]["details"]["family"]] and TIME.match(tags[0]["modified_at"]), tags)
for path in ("/", "/api/version", "/api/tags"):
    c = connect(url)
    c.request("HEAD", path)
    r = c.getresponse()
    check(f"HEAD {path}", r.status == 200 and r.read() == b"", r.status)
check("/: ollama is running", ask(url, "/")[2] == "Ollama is running")
check("version: a plain number", re.fullmatch(r"\d+\.\d+\.\d+", ask(url, "/api/version")[2]["version"]))
shown = ask(url, "/api/show", {"model": model})[2]
family = shown["model_info"]["general.architecture"]
check("show: capabilities by the template", shown["capabilities"] == ["completion", "tools", "thinking", "insert"], shown["capabilities"])
check("show: metadata, of which long arrays are empty", shown["model_info"][family + ".context_length"] > 0 and shown["model_info"]["general.parameter_count"] > 0 and
      shown["model_info"]["tokenizer.ggml.tokens"] == [] and "tokenizer.chat_template" not in shown["model_info"], shown["model_info"])
check("show: details", shown["details"] == tags[0]["details"] and shown["details"]["parameter_size"][-1] in "KMB", shown["details"])
verbose = ask(url, "/api/show", {"name": model, "verbose": True})[2]
check("show: verbose has the vocabulary and the tensors", len(verbose["model_info"]["tokenizer.ggml.tokens"]) > 100 and {"name", "type", "shape"} == set(verbose["tensors"][0]), len(verbose["tensors"]))
running = ask(url, "/api/ps")[2]["models"][0]
check("ps: the context that a request can use, and when it is unloaded", running["name"] == model and running["size"] > 0 and running["size_vram"] >= 0 and
      shown["parameters"].split() == ["num_ctx", str(running["context_length"])] and TIME.match(running["expires_at"]), running)
n_ctx = running["context_length"]

# ---- chat
status, headers, answer = chat({})
text = answer["message"]["content"]
check("chat: an answer", status == 200 and text and answer["message"]["role"] == "assistant" and answer["done"] is True and TIME.match(answer["created_at"]) and "tool_calls" not in answer["message"], answer)
check("chat: durations are whole nanoseconds, and never 0", all(type(answer[d]) is int and answer[d] > 0 for d in DURATIONS), answer)
check("chat: they add up", answer["prompt_eval_duration"] + answer["eval_duration"] <= answer["total_duration"] < 60e9 and answer["eval_count"] == 12, answer)
check("chat: num_predict ends it with length", answer["done_reason"] == "length", answer)
for name, options in [("-1", {"num_predict": -1}), ("-2", {"num_predict": -2}), ("null", {"num_predict": None})]:
    longer = chat({"options": {"seed": 7, "num_ctx": 60, **options}})[2]
    check(f"chat: num_predict {name} goes on to the end", longer["eval_count"] > 12 and longer["message"]["content"].startswith(text) and
          (longer["done_reason"] == "stop" or longer["prompt_eval_count"] + longer["eval_count"] == 60), longer)
huge = chat({"options": {**SEED, "num_ctx": 10_000_000}})
check("chat: num_ctx raises no limit", huge[0] == 200 and huge[2]["message"]["content"] == text, huge)
refused("chat: a prompt longer than num_ctx is refused, not cut", chat({"options": {"num_ctx": 4}}), 400, "exceeds the available context size of 4")
refused("chat: a prompt longer than the context is refused, not cut", chat({"messages": [{"role": "user", "content": "word " * 20000}]}), 400, "exceeds the available context size")

# stream is true by default
lines = list(events(url, "/api/chat", {"model": model, "messages": QUESTION, "options": SEED}))
check("chat: a stream has the same text", "".join(l["message"]["content"] for l in lines) == text and len(lines) > 5, lines)
check("chat: its last line alone is done, and has no text", [l["done"] for l in lines] == [False] * (len(lines) - 1) + [True] and lines[-1]["message"]["content"] == "" and
      lines[-1]["done_reason"] == "length" and all(d in lines[-1] for d in DURATIONS) and not any(d in l for d in DURATIONS for l in lines[:-1]), lines[-1])
check("chat: each line has model, time and role", all(l["model"] and TIME.match(l["created_at"]) and l["message"]["role"] == "assistant" for l in lines))
c = connect(url)
c.request("POST", "/api/chat", json.dumps({"model": model, "messages": QUESTION, "options": SEED}))
r = c.getresponse()
check("chat: a stream is NDJSON that proxies hand on", r.headers["Content-Type"] == "application/x-ndjson" and r.headers["X-Accel-Buffering"] == "no" and all(json.loads(l) for l in r.read().splitlines()))

word = text.strip().split()[2]
stopped = chat({"options": {**SEED, "stop": [word]}})[2]
check("chat: options.stop ends the text before it", stopped["done_reason"] == "stop" and stopped["message"]["content"] == text[:text.index(word)], stopped)
greedy = [chat({"options": {"temperature": 0, "num_predict": 12, **o}})[2]["message"]["content"] for o in ({}, {"seed": 1}, {"top_k": 1})]
check("chat: options.temperature 0 is the same for any seed", len(set(greedy)) == 1, greedy)
check("chat: options of a runner are passed by", chat({"options": {**SEED, "num_gpu": 99, "num_thread": 1, "num_batch": 8, "use_mmap": True, "num_keep": 4, "nonsense": [1]}})[2]["message"]["content"] == text)
logprobs = chat({"logprobs": True, "top_logprobs": 2})[2]
check("chat: log probabilities", "".join(l["token"] for l in logprobs["logprobs"]) == logprobs["message"]["content"] and
      all(len(l["top_logprobs"]) == 2 and l["logprob"] <= 0 and bytes(l["bytes"]).decode() == l["token"] for l in logprobs["logprobs"]), logprobs)
lines = list(events(url, "/api/chat", {"model": model, "messages": QUESTION, "options": SEED, "logprobs": True}))
check("chat: log probabilities in a stream", "".join(p["token"] for l in lines for p in l.get("logprobs", [])) == text, lines)

# ---- form
schema = {"type": "object", "properties": {"name": {"enum": ["Ann", "Bob"]}, "age": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}
form = json.loads(chat({"format": schema, "think": False, "options": {"seed": 7}})[2]["message"]["content"])
check("chat: format is a schema, in its order", list(form) == ["name", "age"] and form["name"] in ("Ann", "Bob") and 1 <= form["age"] <= 9, form)
begun = chat({"format": "json", "think": False})[2]["message"]["content"]
check("chat: format json begins an object", begun.strip().startswith("{"), begun)
check("chat: an empty format is none", chat({"format": ""})[2]["message"]["content"] == text and chat({"format": None})[2]["message"]["content"] == text)
refused("chat: another format", chat({"format": "xml"}), 400, "json")
refused("chat: a schema that cannot be enforced", chat({"format": {"type": "array", "uniqueItems": True}}), 400, "uniqueItems")

# ---- thinking
thought = chat({"think": True})[2]["message"]
check("chat: think true: the reasoning is message.thinking", thought["thinking"] and thought["content"] == "", thought)
check("chat: think by its measure", chat({"think": "high"})[2]["message"]["thinking"])
check("chat: think false", "thinking" not in chat({"think": False})[2]["message"])
lines = list(events(url, "/api/chat", {"model": model, "messages": QUESTION, "options": SEED, "think": True}))
check("chat: thinking in a stream", "".join(l["message"].get("thinking", "") for l in lines) == thought["thinking"], lines)
refused("chat: another think", chat({"think": "deep"}), 400, "think")

# ---- tools
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
CALL = {"type": "object", "properties": {"name": {"const": "get_weather"}, "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"], "additionalProperties": False}},
        "required": ["name", "parameters"], "additionalProperties": False}
calls = {"tools": TOOLS, "format": CALL, "think": False, "options": {"seed": 7}}
called = chat(calls)[2]
check("chat: a tool call, with its arguments as an object", [c["function"] for c in called["message"]["tool_calls"]] == [{"index": 0, "name": "get_weather", "arguments": {"city": "Rome"}}] and
      called["message"]["content"].strip() == "" and called["done_reason"] == "stop" and called["message"]["tool_calls"][0]["id"], called)
lines = list(events(url, "/api/chat", {"model": model, "messages": QUESTION, **calls}))
sent = [c["function"] for l in lines for c in l["message"].get("tool_calls", [])]
check("chat: in a stream it comes once, whole", sent == [{"index": 0, "name": "get_weather", "arguments": {"city": "Rome"}}] and not lines[-1]["message"].get("tool_calls"), lines)
history = QUESTION + [{"role": "assistant", "content": "", "thinking": "Let me look.", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}]},
                      {"role": "tool", "tool_name": "get_weather", "content": "11 degrees"}, {"role": "User", "content": "And then?"}]
same = QUESTION + [{"role": "assistant", "content": None, "reasoning_content": "Let me look.", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}]},
                   {"role": "tool", "tool_call_id": "a", "content": "11 degrees"}, {"role": "user", "content": "And then?"}]
theirs = chat({"messages": history, "tools": TOOLS})[2]
ours = ask(url, "/v1/chat/completions", {"messages": same, "tools": TOOLS, "seed": 7, "max_tokens": 12})[2]
check("chat: a history with calls and results is the one that OpenAI's form makes", theirs["message"]["content"] == ours["choices"][0]["message"]["content"] and
      theirs["prompt_eval_count"] == ours["usage"]["prompt_tokens"], (theirs, ours))
refused("chat: a call without a name", chat({"messages": QUESTION + [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]}), 400, "tool_calls[0]")
refused("chat: images", chat({"messages": [{"role": "user", "content": "x", "images": ["aGVsbG8="]}]}), 400, "messages[0].images", "only text")
seen = [chat({"messages": history[:2] + [{"role": "tool", "tool_name": "get_weather", "content": text, "images": ["aGVsbG8="]}]})[2]["prompt_eval_count"] for text in ("a", "a\0 b c")]
check("chat: the text beside an image may contain U+0000", seen[1] > seen[0] + 2, seen)
check("chat: an image in a tool's result becomes a text", chat({"messages": history[:2] + [{"role": "tool", "tool_name": "get_weather", "content": "seen", "images": ["aGVsbG8="]}]})[0] == 200)

# ---- generate
answer = generate({})[2]
check("generate: the same as a chat of one message", answer["response"] == text and answer["done_reason"] == "length" and all(answer[d] > 0 for d in DURATIONS), answer)
lines = list(events(url, "/api/generate", {"model": model, "prompt": "Once upon a time", "options": SEED}))
check("generate: a stream", "".join(l["response"] for l in lines) == text and lines[-1]["done"] and lines[-1]["context"] == answer["context"], lines[-1])
check("generate: its context is prompt and answer", len(answer["context"]) == answer["prompt_eval_count"] + answer["eval_count"], answer)
more = generate({"prompt": "And then?", "context": answer["context"]})[2]
check("generate: context goes before the prompt", more["context"][:len(answer["context"])] == answer["context"] and more["prompt_eval_count"] > len(answer["context"]), more)
refused("generate: a context of no tokens", generate({"context": [1, 99999999]}), 400, "context")
raw = generate({"raw": True})[2]
completion = ask(url, "/v1/completions", {"prompt": "Once upon a time", "seed": 7, "max_tokens": 12})[2]["choices"][0]["text"]
check("generate: raw is the text alone, and gives no context", raw["response"] == completion and "context" not in raw, (raw, completion))
refused("generate: raw with a system's words", generate({"raw": True, "system": "x"}), 400, "raw mode")
asked = generate({"system": "Be short."})[2]
system = chat({"messages": [{"role": "system", "content": "Be short."}] + QUESTION})[2]
check("generate: system", asked["response"] == system["message"]["content"] and asked["prompt_eval_count"] == system["prompt_eval_count"], (asked, system))
check("generate: a template is not used", generate({"template": "{{ .Prompt }}"})[2]["response"] == text)
fill = generate({"prompt": "Once upon", "suffix": " the end</s>", "options": {**SEED, "temperature": 0}})[2]
before, gap = fill["context"][:fill["prompt_eval_count"]], [verbose["model_info"][f"tokenizer.ggml.fim_{k}_token_id"] for k in ("pre", "suf", "mid")]
check("generate: suffix: the tokens say what is before the gap and what after, and its text has none", [t for t in before if t in gap] == gap and before[-1] == gap[2] and before[:2] == [verbose["model_info"]["tokenizer.ggml.bos_token_id"], gap[0]] and
      2 not in before, (before, gap))
same = ask(url, "/v1/completions", {"prompt": before, "temperature": 0, "max_tokens": 12})[2]["choices"][0]["text"]
check("generate: suffix: the answer is what comes after them", fill["response"] == same, (fill, same))
refused("generate: images", generate({"images": ["aGVsbG8="]}), 400, "only text")
check("generate: thinking", generate({"think": True})[2]["thinking"] == thought["thinking"])
check("generate: format", json.loads(generate({"format": schema, "think": False, "options": {"seed": 7}})[2]["response"])["name"] in ("Ann", "Bob"))

# ---- embed
one = ask(url, "/api/embed", {"model": model, "input": "a dog"})[2]
two = ask(url, "/api/embed", {"model": model, "input": ["a dog", "a cat"]})[2]
check("embed: a text or a list of them", len(one["embeddings"]) == 1 and len(two["embeddings"]) == 2 and two["embeddings"][0] == one["embeddings"][0] and two["prompt_eval_count"] > one["prompt_eval_count"] > 0 and
      one["total_duration"] > 0, {k: v for k, v in two.items() if k != "embeddings"})
check("embed: of length 1", abs(sum(x * x for x in one["embeddings"][0]) - 1) < 1e-3)
short = ask(url, "/api/embed", {"model": model, "input": "a dog", "dimensions": 8})[2]["embeddings"][0]
ratio = short[0] / one["embeddings"][0][0]
check("embed: dimensions cuts, and makes it of length 1 again", len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-3 and all(abs(a - b * ratio) < 1e-5 for a, b in zip(short, one["embeddings"][0])), short)
LONG = "word " * 3000
cut = ask(url, "/api/embed", {"model": model, "input": LONG})
check("embed: what is too long is cut", cut[0] == 200 and cut[2]["prompt_eval_count"] == n_ctx, str(cut)[:200])
check("embed: num_ctx lowers the limit", ask(url, "/api/embed", {"model": model, "input": LONG, "options": {"num_ctx": 9}})[2]["prompt_eval_count"] == 9)
refused("embed: truncate false refuses it", ask(url, "/api/embed", {"model": model, "input": LONG, "truncate": False}), 400, "exceeds the available context size")
check("embed: no input, no vectors", ask(url, "/api/embed", {"model": model, "input": []})[2]["embeddings"] == [] == ask(url, "/api/embed", {"model": model, "input": ""})[2]["embeddings"])
refused("embed: tokens are no input", ask(url, "/api/embed", {"model": model, "input": [1, 2]}), 400, "input")
many = ask(url, "/api/embed", {"model": model, "input": ["a dog"] * 600})
check("embed: hundreds of texts in one request", many[0] == 200 and len(many[2]["embeddings"]) == 600 and many[2]["embeddings"][599] == one["embeddings"][0], str(many)[:200])
check("embeddings: the old form", ask(url, "/api/embeddings", {"model": model, "prompt": "a dog"})[2] == {"embedding": one["embeddings"][0]})
check("embeddings: no prompt, no vector", ask(url, "/api/embeddings", {"model": model, "prompt": ""})[2] == {"embedding": []})

# ---- keep_alive
def loaded():
    return ask(url, "/api/ps")[2]["models"]


def expires():
    """When the model will be unloaded, in seconds since 1970."""
    return datetime.datetime.fromisoformat(loaded()[0]["expires_at"].replace("Z", "+00:00")).timestamp()


for value, seconds in [("5m", 300), (90, 90), ("1h30m", 5400), ("1000.5s", 1000.5)]:
    before = time.time()
    check(f"keep_alive {value}", chat({"keep_alive": value})[0] == 200 and before + seconds - 0.1 < expires() < time.time() + seconds + 0.1)
for value in ("-1", -1, 1e300, "1e300h"):
    check(f"keep_alive {value}", chat({"keep_alive": value})[0] == 200 and time.time() + 1e9 < expires() < time.time() + 1e10)


def goes():
    """The model is unloaded when nobody uses it. A request that was just answered may hold it for a moment."""
    return until(lambda: loaded() == [], "the model is unloaded")


refused("keep_alive of another kind", chat({"keep_alive": "soon"}), 400, "keep_alive")
unload = ask(url, "/api/chat", {"model": model, "messages": [], "keep_alive": 0})[2]
check("no messages and keep_alive 0 unload", unload["done"] and unload["done_reason"] == "unload" and unload["message"] == {"role": "assistant", "content": ""} and goes(), unload)
check("tags, show and ps load nothing", ask(url, "/api/tags")[2]["models"][0]["name"] == model and ask(url, "/api/show", {"model": model})[2]["capabilities"] == shown["capabilities"] and loaded() == [])
load = ask(url, "/api/chat", {"model": model})[2]
check("no messages load", load["done"] and load["done_reason"] == "load" and len(loaded()) == 1, load)
check("a loaded model stays as the server says", expires() > time.time() + 1e9)
check("no prompt and keep_alive 0 unload", ask(url, "/api/generate", {"model": model, "keep_alive": "0"})[2]["done_reason"] == "unload" and goes())
check("no prompt loads", ask(url, "/api/generate", {"model": model, "prompt": ""})[2]["done_reason"] == "load" and len(loaded()) == 1)
check("keep_alive 0 unloads after the answer", chat({"keep_alive": 0})[2]["message"]["content"] == text)
check("and soon", goes())

# ---- what is not there
refused("a body that is no JSON", ask(url, "/api/chat", raw=b"{"), 400, "JSON")
refused("messages of another type", chat({"messages": "x"}), 400, "messages")
refused("a prompt of another type", generate({"prompt": ["x"]}), 400, "prompt")
refused("options out of range", chat({"options": {"top_p": 3}}), 400, "top_p")
refused("an endpoint that is not there", ask(url, "/api/nothing"), 404, "no such endpoint")
refused("GET where POST is wanted", ask(url, "/api/chat"), 405, "POST")
for method, path in [("POST", "/api/create"), ("POST", "/api/copy"), ("DELETE", "/api/delete"), ("POST", "/api/push"), ("POST", "/api/blobs/sha256:00")]:
    refused(f"{path}: a sentence", ask(url, path, {"model": "x"}, method=method), 501, "not supported")
refused("pull: a server of given models", ask(url, "/api/pull", {"model": "hf.co/test/plain"}), 403, "without a MODEL")
refused("pull: a name that is not the Hub's", ask(url, "/api/pull", {"model": "llama3.2"}), 404, "'llama3.2' is not found", "hf.co/OWNER/NAME")

# ---- a client that goes away
c = connect(url)
c.request("POST", "/api/chat", json.dumps({"model": model, "messages": QUESTION, "options": {"num_predict": -1}}))
c.getresponse().readline()
c.sock.close() if c.sock else None
c.close()
check("after a client went away all goes on", chat({})[2]["message"]["content"] == text)
done()
