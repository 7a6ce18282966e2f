#!/usr/bin/env python3
"""Tries Anthropic's SDK for Python with the server: anthropic_python.py URL MODEL. Prints TAP. If the server has a key,
it is in ANTHROPIC_API_KEY."""
import asyncio, json, os, re, sys, time, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from api import check, done, skip

import anthropic

url, model = sys.argv[1:3]
key = os.environ.get("ANTHROPIC_API_KEY", "none")
client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=120)
QUESTION = [{"role": "user", "content": "Once upon a time"}]
WEATHER = {"name": "weather", "description": "Tells the weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"],
                                                                                  "additionalProperties": False}}
# the tiny model of the tests needs help to end its thinking, and to write JSON without empty lines
help_it = {"seed": 7, "logit_bias": [["<unk>", 11], ["\n", False], ["\n\n", False], [" ", False]]} if model == "demo" else {"seed": 7}
common = {"model": model, "messages": QUESTION, "extra_body": {"seed": 7}}


def n_tokens(**more):
    return client.messages.count_tokens(model=model, **{"messages": QUESTION, **more}).input_tokens


# ---- chat and stream
answer = client.messages.create(max_tokens=12, **common)
text = "".join(b.text for b in answer.content if b.type == "text")
usage = answer.usage
check("chat: a message", answer.type == "message" and answer.stop_reason in ("max_tokens", "end_turn") and answer.content, answer)
check("chat: usage", usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens == n_tokens() and 0 < usage.output_tokens <= 12, answer)
check("chat: the id of the request", bool(answer._request_id), answer)
with client.messages.stream(max_tokens=12, **common) as s:
    pieces = list(s.text_stream)
    final = s.get_final_message()
check("stream: the same text, in pieces", "".join(pieces) == text and len(final.content) == len(answer.content) and len(pieces) > 1, (pieces, text))
check("stream: usage of the end", final.usage.output_tokens == usage.output_tokens and final.stop_reason == answer.stop_reason, final)
kinds = [e.type for e in client.messages.create(max_tokens=12, stream=True, **common)]
check("stream: raw events", kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("content_block_start") == kinds.count("content_block_stop") > 0, kinds)


async def three():
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as c:
        return await asyncio.gather(*(c.messages.create(max_tokens=12, **common) for _ in range(3)))


check("three at once: the same text each", all(a.content == answer.content for a in asyncio.run(three())))
word = text.split()[2] if len(text.split()) > 2 else None
if word:
    stopped = client.messages.create(max_tokens=12, stop_sequences=[word], **common)
    check("stop_sequences: named", stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == word, stopped)
else:
    skip("stop_sequences: named", "the text has fewer than three words")

models = list(client.models.list())
check("models: listed, and by name", [m.display_name for m in models][:1] == [model] and client.models.retrieve(model).created_at.year > 2000, models)

# ---- count_tokens
check("count_tokens: more text is more tokens", 0 < n_tokens() < n_tokens(messages=QUESTION + QUESTION))
check("count_tokens: the billing header is none", n_tokens(system=[{"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=1;"}]) == n_tokens())

# ---- tools
takes_tools = n_tokens(tools=[WEATHER]) > n_tokens()
if takes_tools:
    wanted = {"model": model, "tools": [WEATHER], "messages": QUESTION, "max_tokens": 600, "extra_body": help_it}
    called = client.messages.create(tool_choice={"type": "any", "disable_parallel_tool_use": True}, **wanted)
    calls = [b for b in called.content if b.type == "tool_use"]
    check("tools: one call by its schema", called.stop_reason == "tool_use" and len(calls) == 1 and calls[0].name == "weather" and calls[0].input["city"] in ("Paris", "Rome"), called)
    with client.messages.stream(tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True}, **wanted) as s:
        json_pieces = [e.partial_json for e in s if e.type == "input_json"]
        streamed = s.get_final_message()
    calls = [b for b in streamed.content if b.type == "tool_use"]
    check("tools: arguments in a stream", len(calls) == 1 and json.loads("".join(json_pieces)) == calls[0].input and streamed.stop_reason == "tool_use", streamed)
    talk = QUESTION + [{"role": "assistant", "content": streamed.content},
                       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": b.id, "content": "sunny"} for b in calls]}]
    after = client.messages.create(**{**wanted, "messages": talk, "max_tokens": 12})
    check("tools: the talk goes on with the result, its beginning cached", after.content and after.usage.cache_read_input_tokens >= n_tokens(tools=[WEATHER]) - 2, after)
else:
    skip("tools", "the template has no tools")

# ---- thinking
if n_tokens(thinking={"type": "enabled", "budget_tokens": 1024}) != n_tokens(thinking={"type": "disabled"}):
    wanted = {"model": model, "messages": QUESTION, "max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 1024}, "extra_body": help_it}
    with client.messages.stream(**wanted) as s:
        thoughts = "".join(e.thinking for e in s if e.type == "thinking")
        final = s.get_final_message()
    check("thinking: a signed block, first", final.content[0].type == "thinking" and final.content[0].thinking == thoughts != "" and final.content[0].signature, final)
    follow = client.messages.create(model=model, max_tokens=5, messages=QUESTION + [{"role": "assistant", "content": final.content}] + QUESTION)
    check("thinking: goes back into the talk", follow.type == "message", follow)
else:
    skip("thinking", "the template has no variable for it")

# ---- structure
from_schema = client.messages.create(max_tokens=600, output_config={"format": {"type": "json_schema", "schema": WEATHER["input_schema"]}}, **{**common, "extra_body": help_it})
check("output_config: JSON of a schema", json.loads(from_schema.content[-1].text)["city"] in ("Paris", "Rome"), from_schema)


# ---- abort
def metric(name):
    text = urllib.request.urlopen(urllib.request.Request(url + "/metrics", headers={"x-api-key": key})).read().decode()
    return float(re.search(rf"^\w+:{name} (\S+)", text, re.M)[1])


before = metric("requests_cancelled_total")
with client.messages.stream(model=model, messages=QUESTION, max_tokens=100000, extra_body={"logit_bias": [["</s>", False]]}) as s:
    for _ in s.text_stream:
        break
until = time.monotonic() + 10
while metric("requests_cancelled_total") == before and time.monotonic() < until:
    time.sleep(0.05)
check("abort: the server stops", metric("requests_cancelled_total") == before + 1 and metric("requests_processing") == 0)


# ---- errors
def failure(**more):
    try:
        return client.messages.create(**{"max_tokens": 5, **common, **more})
    except anthropic.APIStatusError as e:
        return e


e = failure(messages=[{"role": "user", "content": "word " * 200000}])
check("too long: a BadRequestError with the words", isinstance(e, anthropic.BadRequestError) and "prompt is too long: " in e.message and " maximum" in e.message, e)
e = failure(extra_body={"temperature": "hot"})
check("a wrong field", isinstance(e, anthropic.BadRequestError) and e.body["error"]["type"] == "invalid_request_error" and e.request_id == e.body["request_id"], e)
e = failure(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}])
check("an image", isinstance(e, anthropic.BadRequestError) and "only text" in e.message, e)
try:
    client.messages.batches.list()
    check("an endpoint that is not there", False)
except anthropic.NotFoundError as e:
    check("an endpoint that is not there", e.body["error"]["type"] == "not_found_error", e.body)
done()
