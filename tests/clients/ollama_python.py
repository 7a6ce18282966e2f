#!/usr/bin/env python3
"""Tries ollama's client for Python with the server: ollama_python.py URL MODEL. Prints TAP. If the model's template
cannot do something (tools, thinking), the server must refuse it as ollama does. With tests/support/ollama.jinja it can
do everything."""
import asyncio, json, os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from api import check, done

import ollama

url, model = sys.argv[1:3]
key = os.environ.get("OLLAMA_API_KEY")
client = ollama.Client(host=url, timeout=120, **({"headers": {"Authorization": f"Bearer {key}"}} if key else {}))
QUESTION = [{"role": "user", "content": "Once upon a time"}]
OPTIONS = {"seed": 7, "num_predict": 12}


def failure(call, *arguments, **more):
    try:
        return call(*arguments, **more)
    except ollama.ResponseError as e:
        return e


# ---- models
names = [m.model for m in client.list().models]
check("list: the model, with a tag", any(n == model or n.split(":")[0] == model for n in names), names)
listed = client.list().models[0]
check("list: size, time and details", listed.size > 0 and listed.modified_at and listed.digest and listed.details.family, listed)
shown = client.show(model)
context = shown.modelinfo[shown.modelinfo["general.architecture"] + ".context_length"]
check("show: capabilities, details and the context", "completion" in shown.capabilities and shown.details.format == "gguf" and context > 0, shown.capabilities)
can_think, can_call = "thinking" in shown.capabilities, "tools" in shown.capabilities

# ---- chat
answer = client.chat(model, QUESTION, options=OPTIONS, think=False)
text = answer.message.content
check("chat: an answer", answer.message.role == "assistant" and text and answer.done and answer.done_reason in ("stop", "length"), answer)
check("chat: durations and counts", answer.total_duration > 0 and answer.load_duration > 0 and answer.prompt_eval_count > 0 and answer.prompt_eval_duration > 0 and 0 < answer.eval_count <= 12 and answer.eval_duration > 0, answer)
chunks = list(client.chat(model, QUESTION, options=OPTIONS, think=False, stream=True))
check("chat: a stream has the same text", "".join(c.message.content for c in chunks) == text and [c.done for c in chunks].count(True) == 1 and chunks[-1].done, chunks)
check("chat: its end has the counts", chunks[-1].eval_count == answer.eval_count and chunks[-1].done_reason == answer.done_reason, chunks[-1])
running = client.ps().models[0]
check("ps: context, size and end", running.context_length > 0 and running.size > 0 and running.expires_at.timestamp() > time.time(), running)
scored = client.chat(model, QUESTION, options=OPTIONS, think=False, logprobs=True, top_logprobs=2)
check("chat: log probabilities", scored.logprobs and all(l.logprob <= 0 and len(l.top_logprobs) == 2 for l in scored.logprobs), scored)

# ---- form
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Ann", "Bob"]}, "age": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}
said = json.loads(client.chat(model, QUESTION, format=SCHEMA, think=False, options={"seed": 7}).message.content)
check("chat: format with a schema", list(said) == ["name", "age"] and said["name"] in ("Ann", "Bob") and 1 <= said["age"] <= 9, said)

# ---- think
thought = failure(client.chat, model, QUESTION, think=True, options=OPTIONS)
if can_think:
    check("think: the reasoning comes by itself", thought.message.thinking, thought)
    parts = list(client.chat(model, QUESTION, think="low", stream=True, options=OPTIONS))
    check("think: in a stream", "".join(p.message.thinking or "" for p in parts), parts)
else:
    check("think: refused where the model cannot", isinstance(thought, ollama.ResponseError) and thought.status_code == 400 and "does not support thinking" in thought.error, thought)


# ---- tools
def get_weather(city: str) -> str:
    """
    Tells the weather.

    Args:
        city: A city
    """
    return "11 degrees in " + city


CALL = {"type": "object", "properties": {"name": {"const": "get_weather"}, "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"], "additionalProperties": False}},
        "required": ["name", "parameters"], "additionalProperties": False}
called = failure(client.chat, model, QUESTION, tools=[get_weather], format=CALL, think=False, options={"seed": 7})
if can_call:
    calls = called.message.tool_calls or []
    if calls: # templates whose calls are such JSON
        check("tools: a call, with its arguments", [(c.function.name, c.function.arguments) for c in calls] == [("get_weather", {"city": "Rome"})], called)
    else:
        check("tools: an answer in the form that was asked for", json.loads(called.message.content)["name"] == "get_weather", called)
    chunks = list(client.chat(model, QUESTION, tools=[get_weather], format=CALL, think=False, stream=True, options={"seed": 7}))
    check("tools: as many calls in a stream", len([c for k in chunks for c in k.message.tool_calls or []]) == len(calls), chunks)
    history = [*QUESTION, {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}]}, {"role": "tool", "tool_name": "get_weather", "content": get_weather("Rome")}]
    result = client.chat(model, history, tools=[get_weather], think=False, options=OPTIONS)
    check("tools: a result goes back", result.done and result.prompt_eval_count > answer.prompt_eval_count, result)
else:
    check("tools: refused where the model cannot", isinstance(called, ollama.ResponseError) and called.status_code == 400 and "does not support tools" in called.error, called)

# ---- generate
whole = client.generate(model, "Once upon a time", options=OPTIONS, think=False)
check("generate: the same as a chat", whole.response == text and whole.context, whole)
parts = list(client.generate(model, "Once upon a time", options=OPTIONS, think=False, stream=True))
check("generate: a stream", "".join(p.response for p in parts) == text and parts[-1].done, parts[-1])
more = client.generate(model, "And then?", context=whole.context, options=OPTIONS, think=False)
check("generate: goes on from a context", more.prompt_eval_count > len(whole.context), more.prompt_eval_count)
check("generate: raw", client.generate(model, "Once upon a time", raw=True, options=OPTIONS).response)

# ---- embed
vectors = client.embed(model, ["a dog", "a cat"])
check("embed: two vectors of length 1", len(vectors.embeddings) == 2 and all(abs(sum(x * x for x in v) - 1) < 1e-3 for v in vectors.embeddings) and vectors.prompt_eval_count > 0, vectors.prompt_eval_count)
check("embed: dimensions", len(client.embed(model, "a dog", dimensions=8).embeddings[0]) == 8)
check("embeddings: the old form", client.embeddings(model, "a dog").embedding == vectors.embeddings[0])

# ---- abort
begun = time.time()
stream = client.chat(model, QUESTION, think=False, stream=True, options={"num_predict": -1})
next(stream)
stream.close()
check("abort: the next request is answered", client.chat(model, QUESTION, options=OPTIONS, think=False).message.content == text and time.time() - begun < 60)


async def many():
    other = ollama.AsyncClient(host=url, timeout=120, **({"headers": {"Authorization": f"Bearer {key}"}} if key else {}))
    return await asyncio.gather(*(other.chat(model, QUESTION, options=OPTIONS, think=False) for _ in range(6)))


check("six at a time have the same text", {a.message.content for a in asyncio.run(many())} == {text})

# ---- errors
wrong = failure(client.chat, model, QUESTION, options={"top_p": 3})
check("an option out of range", isinstance(wrong, ollama.ResponseError) and wrong.status_code == 400 and "top_p" in wrong.error, wrong)
long = failure(client.chat, model, [{"role": "user", "content": "word " * 3 * running.context_length}])
check("a prompt that is too long", isinstance(long, ollama.ResponseError) and long.status_code == 400 and "exceeds the available context size" in long.error, long)
images = failure(client.chat, model, [{"role": "user", "content": "What is it?", "images": [b"\x89PNG\r\n"]}])
check("images", isinstance(images, ollama.ResponseError) and images.status_code == 400 and "only text" in images.error, images)
for name, call in [("create", lambda: client.create("x", from_=model)), ("copy", lambda: client.copy(model, "y")), ("delete", lambda: client.delete("no-such-model")), ("push", lambda: client.push("x"))]:
    refused = failure(call)
    check(f"{name} is refused in a sentence", isinstance(refused, ollama.ResponseError) and refused.status_code == 501 and "not supported" in refused.error, refused)
broken = failure(lambda: list(client.pull("no-such-model", stream=True)))
check("pull: of a name that is not the Hub's", isinstance(broken, ollama.ResponseError) and "no-such-model" in broken.error, broken)

# ---- loading
check("no prompt loads", client.generate(model, keep_alive="10m").done_reason == "load")
check("keep_alive is the time that ps tells", 590 < client.ps().models[0].expires_at.timestamp() - time.time() < 601)
check("no prompt and keep_alive 0 unload", client.generate(model, keep_alive=0).done_reason == "unload" and not client.ps().models)
check("the next request loads", client.chat(model, QUESTION, options=OPTIONS, think=False).message.content == text)
done()
