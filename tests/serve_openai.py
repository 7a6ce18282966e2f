#!/usr/bin/env python3
"""OpenAI's API as mini-cllm serves it: serve_openai.py URL. Prints TAP."""
import base64, os, struct, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done, events

url = sys.argv[1]
QUESTION = [{"role": "user", "content": "Once upon a time"}]

status, _, models = ask(url, "/v1/models")
model = models["data"][0]
check("models: one, with its context", status == 200 and model["meta"]["n_ctx"] == model["max_model_len"] == model["context_length"], models)
check("models: by name", ask(url, "/v1/models/" + model["id"])[2]["id"] == model["id"])

status, headers, answer = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12})
text = answer["choices"][0]["message"]["content"]
check("chat: an answer", status == 200 and text and answer["object"] == "chat.completion" and answer["seed"] == 7, answer)
check("chat: usage adds up", answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"], answer["usage"])
again = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12})[2]
check("chat: a seed gives the same text", again["choices"][0]["message"]["content"] == text, again)
check("chat: and its prompt comes from the cache", again["usage"]["prompt_tokens_details"]["cached_tokens"] == again["usage"]["prompt_tokens"] - 1, again["usage"])
uncached = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12, "cache_prompt": False})[2]
check("chat: cache_prompt false evaluates it all, to the same text", uncached["usage"]["prompt_tokens_details"]["cached_tokens"] == 0 and
      uncached["choices"][0]["message"]["content"] == text, uncached)

chunks = list(events(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12, "stream": True, "stream_options": {"include_usage": True}}))
streamed = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
check("chat: a stream has the same text", streamed == text, streamed)
check("chat: the usage chunk has no choices", chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == answer["usage"]["completion_tokens"], chunks[-1])
check("chat: the first chunk has the role", chunks[0]["choices"][0]["delta"].get("role") == "assistant", chunks[0])
check("chat: one chunk ends it", [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("length") + [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("stop") == 1)
chunks = list(events(url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 2, "stream": True}))
check("chat: without include_usage there is none", all("usage" not in c and c["choices"] for c in chunks), chunks)

n = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12, "n": 3})[2]
texts = [c["message"]["content"] for c in n["choices"]]
check("chat: n 3, of which the first is that of n 1", texts[0] == text and len(set(texts)) == 3, texts)
chunks = list(events(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12, "n": 3, "stream": True}))
for i in range(3):
    part = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"][0]["index"] == i)
    check(f"chat: text {i} of 3 in a stream", part == texts[i], (part, texts[i]))

word = text.strip().split()[2]
stopped = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 12, "stop": [word]})[2]["choices"][0]
check("chat: a stop string ends the text before it", stopped["finish_reason"] == "stop" and stopped["message"]["content"] == text[:text.index(word)], stopped)

for path, body in {"/v1/chat/completions": {"messages": QUESTION}, "/v1/completions": {"prompt": "Once upon a time"}}.items():
    without = ask(url, path, {**body, "seed": 7, "max_tokens": 12})[2]["choices"][0]
    for stop in ("\0", word + "\0more"):
        status, _, got = ask(url, path, {**body, "seed": 7, "max_tokens": 12, "stop": [stop]})
        check(f"{path}: {stop!r} as a stop string is not a part of it", status == 200 and got["choices"][0] == without, got)
    forced = {**body, "max_tokens": 8, "structured_outputs": {"regex": "ab\\x00cd"}}
    for stop, end in {"ab\0cd": "", "\0": "ab"}.items():
        got = ask(url, path, {**forced, "stop": [stop]})[2]["choices"][0]
        check(f"{path}: {stop!r} as a stop string ends the text", got["finish_reason"] == "stop" and got.get("text", got.get("message", {}).get("content")) == end, got)

logprobs = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "max_tokens": 5, "logprobs": True, "top_logprobs": 3})[2]["choices"][0]["logprobs"]["content"]
check("chat: log probabilities", len(logprobs) == 5 and all(len(l["top_logprobs"]) == 3 and l["logprob"] <= 0 for l in logprobs), logprobs)

schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["age"], "additionalProperties": False}
import json
form = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}})[2]
value = json.loads(form["choices"][0]["message"]["content"])
check("chat: response_format json_schema", list(value) == ["age"] and 1 <= value["age"] <= 9, form)
listed = {"type": "object", "properties": {"const": {"const": {"properties": {}}}, "inner": {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}}, "required": ["const", "inner"]}
form = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "temperature": 2, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": listed}}})[2]
check("chat: an object has the properties that its schema lists, and no others", json.loads(form["choices"][0]["message"]["content"]) == {"const": {"properties": {}}, "inner": {"a": 1}}, form)
ordered = {"type": "object", "properties": {name: {"const": name} for name in "zambic"}, "required": list("zambic")}
for strict in (True, False, None):
    form = ask(url, "/v1/chat/completions", {"messages": QUESTION, "temperature": 2, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": strict, "schema": ordered}}})[2]
    check(f"chat: properties come in the schema's order, strict: {strict}", [key for key, value in json.loads(form["choices"][0]["message"]["content"], object_pairs_hook=list)] == list("zambic"), form)
for name, asked in {"it may have others": {**listed, "additionalProperties": True}, "it must have one that is not listed": {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]},
                    "schemas are put together": {"allOf": [{"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}, {"type": "object", "properties": {"b": {"enum": [2]}}, "required": ["b"]}]}}.items():
    status, _, form = ask(url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 300, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": asked}}})
    check(f"chat: unless {name}", status == 200, form)
for field, given in {"structured_outputs": {"json": json.dumps(listed)}, "guided_json": json.dumps(listed)}.items():
    form = ask(url, "/v1/chat/completions", {"messages": QUESTION, "seed": 7, "temperature": 2, field: given})[2]
    check(f"chat: {field}, a schema as a string: an object has no other properties either", json.loads(form["choices"][0]["message"]["content"]) == {"const": {"properties": {}}, "inner": {"a": 1}}, form)
for field, given in {"guided_regex": "a\0b", "guided_choice": ["a\0b"], "guided_json": "{}\0", "grammar": 'root ::= "a"\0'}.items():
    status, _, form = ask(url, "/v1/chat/completions", {"messages": QUESTION, field: given})
    check(f"chat: {field} with U+0000 is refused", status == 400 and field in form["error"]["message"], form)
for field, body in {"structured_outputs": {"choice": ["yes", "no"]}, "guided_choice": ["yes", "no"]}.items():
    said = ask(url, "/v1/chat/completions", {"messages": QUESTION, field: body})[2]["choices"][0]["message"]["content"]
    check(f"chat: {field}", said in ("yes", "no"), said)
status, _, failure = ask(url, "/v1/chat/completions", {"messages": QUESTION, "grammar": 'root ::= "a"', "response_format": {"type": "json_object"}})
check("chat: two forms are refused", status == 400 and failure["error"]["type"] == "invalid_request_error", failure)
for form, text in (({"type": "xml"}, "'xml' is not text, json_object, json_schema or grammar"), ({"type": "grammar"}, "response_format.grammar is missing")):
    status, _, failure = ask(url, "/v1/chat/completions", {"messages": QUESTION, "response_format": form})
    check("chat: response_format " + form["type"], status == 400 and text in failure["error"]["message"], (status, failure))
status, _, failure = ask(url, "/v1/chat/completions", {"messages": QUESTION, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array", "uniqueItems": True}}}})
check("chat: a schema that cannot be enforced is refused", status == 400 and "uniqueItems" in failure["error"]["message"], failure)

for name, body, field in [("a wrong type", {"messages": QUESTION, "temperature": "hot"}, "temperature"), ("out of range", {"messages": QUESTION, "top_p": 3}, "top_p"),
                          ("no messages", {"messages": []}, "messages"), ("a message without role", {"messages": [{"content": "x"}]}, "messages[0].role"),
                          ("a question without content", {"messages": [{"role": "user"}]}, "messages[0].content"), ("content null", {"messages": [*QUESTION, {"role": "system", "content": None}]}, "messages[%d].content" % len(QUESTION)),
                          ("messages missing", {}, "messages"), ("stop of a wrong type", {"messages": QUESTION, "stop": 5}, "stop"),
                          ("n too large", {"messages": QUESTION, "n": 1000}, "n")]:
    status, _, failure = ask(url, "/v1/chat/completions", body)
    check(f"chat: {name} is 400 with its field", status == 400 and failure["error"]["param"] == field, failure)
nulls = {k: None for k in ("temperature", "top_p", "stop", "seed", "n", "max_tokens", "tools", "tool_choice", "response_format", "logprobs", "logit_bias", "stream_options", "user")}
check("chat: null means absent, unknown fields are ignored", ask(url, "/v1/chat/completions", {"messages": QUESTION, **nulls, "max_completion_tokens": 3, "nonsense": {"a": 1}})[0] == 200)
status, _, failure = ask(url, "/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 20000}]})
check("chat: too long, with both counts", status == 400 and failure["error"]["code"] == "context_length_exceeded" and failure["error"]["n_prompt_tokens"] > failure["error"]["n_ctx"] > 0 and
      "exceeds the available context size" in failure["error"]["message"], failure)

whole = ask(url, "/v1/completions", {"prompt": "Once upon a time", "seed": 7, "max_tokens": 12})[2]
check("completions: a text", whole["object"] == "text_completion" and whole["choices"][0]["text"], whole)
echo = ask(url, "/v1/completions", {"prompt": "Once upon a time", "seed": 7, "max_tokens": 3, "echo": True, "logprobs": 2})[2]["choices"][0]
check("completions: echo has the prompt and its log probabilities", echo["text"].startswith("Once upon a time") and echo["logprobs"]["token_logprobs"][0] is None and
      all(l < 0 for l in echo["logprobs"]["token_logprobs"][1:]) and len(echo["logprobs"]["tokens"]) == len(echo["logprobs"]["text_offset"]), echo)
for more in ({}, {"n": 3}, {"max_tokens": 0}, {"prompt": [1]}, {"echo": False}, {"prompt": "A fox \U0001F98A"}, {"stop": ["e"]}):
    body = {"prompt": "Once upon a time", "seed": 7, "max_tokens": 12, "echo": True, "logprobs": 1, **more}
    for want in ask(url, "/v1/completions", body)[2]["choices"]:
        parts = [c["choices"][0] for c in events(url, "/v1/completions", {**body, "stream": True}) if c["choices"][0]["index"] == want["index"]]
        lists = {k: [x for c in parts for x in (c["logprobs"] or {k: []})[k]] for k in want["logprobs"]}
        check(f"completions: with {more or 'echo'}, the stream of text {want['index']} adds up to the whole answer", "".join(c["text"] for c in parts) == want["text"] and lists == want["logprobs"], (want, parts))
check("completions: text_offset says where in the text a token begins; a control token has no text", all(echo["text"].encode()[at:].startswith(token.encode()) for token, at in
      zip(echo["logprobs"]["tokens"], echo["logprobs"]["text_offset"]) if token != "<s>") and echo["logprobs"]["text_offset"][:2] == [0, 0], echo)
short = ask(url, "/v1/completions", {"prompt": [1], "seed": 7, "max_tokens": 1, "echo": True, "logprobs": 0})[2]["choices"][0]["logprobs"]
check("completions: echo of a prompt of one token", len(short["tokens"]) == 2 and short["token_logprobs"][0] is None, short)
scored = ask(url, "/v1/completions", {"prompt": "Once upon a time", "max_tokens": 0, "echo": True, "logprobs": 2})[2]["choices"][0]
check("completions: max_tokens 0 scores the prompt", scored["text"] == "Once upon a time" and scored["logprobs"]["token_logprobs"] == echo["logprobs"]["token_logprobs"][:len(scored["logprobs"]["tokens"])], scored)
many = ask(url, "/v1/completions", {"prompt": ["Once upon a time", [1, 2, 3]], "n": 2, "seed": 7, "max_tokens": 12})[2]["choices"]
check("completions: prompts as texts and ids, n of each", len(many) == 4 and many[0]["text"] == whole["choices"][0]["text"], many)
status, _, failure = ask(url, "/v1/completions", {"prompt": [1, 99999999]})
check("completions: an id outside the vocabulary", status == 400 and failure["error"]["param"] == "prompt", failure)

floats = ask(url, "/v1/embeddings", {"input": ["a dog", "a cat"]})[2]["data"]
packed = ask(url, "/v1/embeddings", {"input": "a dog", "encoding_format": "base64"})[2]["data"][0]["embedding"]
numbers = struct.unpack(f"<{len(floats[0]['embedding'])}f", base64.b64decode(packed))
check("embeddings: floats and base64 agree", len(floats) == 2 and all(abs(a - b) < 1e-6 for a, b in zip(numbers, floats[0]["embedding"])))
short = ask(url, "/v1/embeddings", {"input": "a dog", "dimensions": 8})[2]["data"][0]["embedding"]
check("embeddings: dimensions cuts, and makes it of length 1 again", len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-5 and all(abs(a * numbers[0] - b * short[0]) < 1e-6 for a, b in zip(short, numbers)), short)
status, _, failure = ask(url, "/v1/embeddings", {"input": "a dog", "dimensions": len(numbers) + 1})
check("embeddings: more dimensions than the model's", status == 400 and failure["error"]["param"] == "dimensions" and f"only {len(numbers)} numbers" in failure["error"]["message"], failure)
status, _, failure = ask(url, "/v1/embeddings", {"input": []})
check("embeddings: of nothing", status == 400 and failure["error"]["param"] == "input", failure)
check("embeddings: of length 1", abs(sum(x * x for x in numbers) - 1) < 1e-3)

many = threading.Thread(target=ask, args=(url, "/v1/embeddings", {"input": ["many words " * 20] * 600}))
many.start()
time.sleep(0.05)
check("embeddings: many texts in one request do not fill the queue", ask(url, "/v1/completions", {"prompt": "a", "max_tokens": 1})[0] == 200)
many.join()

for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Origin": url}):
    status, _, failure = ask(url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 1}, headers=headers)
    check(f"a page of another site may not ask: {headers}", status == 403 and "--cors" in failure["error"]["message"], failure)
for headers in ({"Origin": url}, {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}):
    check(f"a page of this site may: {headers}", ask(url, "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 1}, headers=headers)[0] == 200)
status, headers, _ = ask(url, "/v1/chat/completions")
check("GET where POST is wanted: 405 with Allow", status == 405 and headers["Allow"] == "POST", headers)
check("an endpoint that is not there", ask(url, "/v1/nothing")[0] == 404)
status, _, failure = ask(url, "/v1/chat/completions", raw=b"{\"messages\": [")
check("a body that is no JSON", status == 400 and "line 1" in failure["error"]["message"], failure)
status, _, failure = ask(url, "/v1/chat/completions", {"messages": QUESTION}, headers={"Content-Encoding": "zstd"})
check("a body in an encoding that is not read", status == 415, failure)
done()
