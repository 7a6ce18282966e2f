#!/usr/bin/env python3
"""Tries OpenAI's SDK for Python with the server: openai_python.py URL MODEL. Prints TAP. If the server has a key, it is
in OPENAI_API_KEY."""
import asyncio, json, os, re, sys, time, urllib.request
from typing import Literal

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from api import check, done, skip

import openai
from pydantic import BaseModel

url, model = sys.argv[1:3]
key = os.environ.get("OPENAI_API_KEY", "none")
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=120)
QUESTION = [{"role": "user", "content": "Once upon a time"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA, "strict": True}}
# the tiny model of the tests needs help to end its reasoning, and to write JSON without empty lines
help_it = {"seed": 7, "logit_bias": [["<unk>", 11], ["\n", False], ["\n\n", False], [" ", False]]} if model == "demo" else {"seed": 7}
common = {"model": model, "messages": QUESTION, "seed": 7, "max_tokens": 12}


class City(BaseModel):
    city: Literal["Paris", "Rome"]


# ---- chat and stream
answer = client.chat.completions.create(**common)
text = answer.choices[0].message.content
check("chat: an answer", text and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens and answer.choices[0].finish_reason in ("length", "stop"), answer)
chunks = list(client.chat.completions.create(**common, stream=True, stream_options={"include_usage": True}))
check("stream: the same text, in pieces, and usage", "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text and len(chunks) > 3 and
      chunks[-1].usage.completion_tokens == answer.usage.completion_tokens and chunks[-1].usage.prompt_tokens_details.cached_tokens == answer.usage.prompt_tokens - 1, chunks)


async def three():
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as c:
        return await asyncio.gather(*(c.chat.completions.create(**common) for _ in range(3)))


check("three at once: the same text each", all(a.choices[0].message.content == text for a in asyncio.run(three())))
logprobs = client.chat.completions.create(**common, logprobs=True, top_logprobs=2).choices[0].logprobs.content
check("log probabilities", len(logprobs) == answer.usage.completion_tokens and all(len(p.top_logprobs) == 2 and p.logprob <= 0 for p in logprobs), logprobs)
models = list(client.models.list())
check("models: listed, and by name", models[0].id == model and client.models.retrieve(model).id == model, models)
check("completions", client.completions.create(model=model, prompt="Once upon a time", max_tokens=5, seed=7).choices[0].text != "")

# ---- structure and tools
parsed = client.chat.completions.parse(model=model, messages=QUESTION, response_format=City, max_tokens=600, extra_body=help_it)
check("JSON schema: parsed into a class", parsed.choices[0].message.parsed.city in ("Paris", "Rome"), parsed)
wanted = {"model": model, "messages": QUESTION, "tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 600, "extra_body": help_it}
takes_tools = client.chat.completions.create(**{**common, "max_tokens": 1}, tools=[WEATHER]).usage.prompt_tokens > answer.usage.prompt_tokens
if takes_tools:
    called = client.chat.completions.create(**wanted).choices[0]
    check("tools: one call by its schema", called.finish_reason == "tool_calls" and len(called.message.tool_calls) == 1 and called.message.tool_calls[0].function.name == "weather" and
          json.loads(called.message.tool_calls[0].function.arguments)["city"] in ("Paris", "Rome"), called)
    with client.chat.completions.stream(**wanted) as s:
        deltas = [e for e in s if e.type == "tool_calls.function.arguments.delta"]
        final = s.get_final_completion().choices[0]
    check("tools: arguments in a stream", len(final.message.tool_calls) == 1 and "".join(e.arguments_delta for e in deltas) == final.message.tool_calls[0].function.arguments and final.finish_reason == "tool_calls", final)
    call = called.message.tool_calls[0]
    after = client.chat.completions.create(**{**wanted, "tool_choice": "auto", "max_tokens": 12, "messages": [*QUESTION, called.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]})
    check("tools: the talk goes on with the result", after.choices[0].finish_reason in ("length", "stop", "tool_calls") and after.usage.prompt_tokens_details.cached_tokens > 0, after)
else:
    skip("tools", "the template has no tools")

# ---- embeddings
vectors = client.embeddings.create(model=model, input=["a dog", "a cat"]).data  # the SDK asks for base64
floats = client.embeddings.create(model=model, input="a dog", encoding_format="float").data[0].embedding
check("embeddings: base64 and floats agree", len(vectors) == 2 and all(abs(a - b) < 1e-6 for a, b in zip(vectors[0].embedding, floats)) and abs(sum(v * v for v in floats) - 1) < 1e-3)

# ---- responses
told = {"model": model, "input": "Once upon a time", "extra_body": {"seed": 7}}
whole = client.responses.create(**told, max_output_tokens=12)
check("responses: an answer", whole.output_text == text and whole.usage.output_tokens == answer.usage.completion_tokens and whole.model == model, whole)
with client.responses.stream(**told, max_output_tokens=12) as s:
    seen = list(s)
    final = seen[-1].response
check("responses: a stream, the same text", "".join(e.delta for e in seen if e.type == "response.output_text.delta") == text == final.output_text and seen[0].type == "response.created" and
      seen[-1].type in ("response.completed", "response.incomplete"), seen[-1])
structured = client.responses.parse(model=model, input="Once upon a time", text_format=City, max_output_tokens=600, extra_body=help_it)
check("responses: parsed into a class", structured.output_parsed.city in ("Paris", "Rome"), structured)
if takes_tools:
    tools = {"model": model, "tools": [{"type": "function", "name": "weather", "description": "Tells the weather", "parameters": SCHEMA, "strict": True}], "tool_choice": "required", "parallel_tool_calls": False,
             "max_output_tokens": 600, "extra_body": help_it}
    with client.responses.stream(input=QUESTION, **tools) as s:
        kinds = [e.type for e in s]
        final = s.get_final_response()
    calls = [i for i in final.output if i.type == "function_call"]
    check("responses: a call in a stream", len(calls) == 1 and json.loads(calls[0].arguments)["city"] in ("Paris", "Rome") and kinds.count("response.function_call_arguments.done") == 1, final)
    talk = [*QUESTION, *({k: v for k, v in i.to_dict().items() if k != "parsed_arguments"} for i in final.output), {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"}]
    after = client.responses.create(input=talk, **{**tools, "tool_choice": "auto", "max_output_tokens": 12})
    check("responses: the talk goes on with the result", after.usage.input_tokens_details.cached_tokens >= final.usage.input_tokens - 1, after)
else:
    skip("responses: tools", "the template has no tools")


# ---- abort
def metric(name):
    return float(re.search(rf"^\w+:{name} (\S+)", urllib.request.urlopen(urllib.request.Request(url + "/metrics", headers={"Authorization": f"Bearer {key}"})).read().decode(), re.M)[1])


before = metric("requests_cancelled_total")
with client.chat.completions.create(model=model, messages=QUESTION, stream=True, extra_body={"logit_bias": [["</s>", False]] if model == "demo" else [], "ignore_eos": True}) as s:
    for _ in s:
        break
until = time.monotonic() + 10
while metric("requests_cancelled_total") == before and time.monotonic() < until:
    time.sleep(0.05)
check("abort: the server stops", metric("requests_cancelled_total") == before + 1 and metric("requests_processing") == 0)


# ---- errors
def failure(call, **more):
    try:
        return call(**more)
    except openai.APIError as e:
        return e


e = failure(client.chat.completions.create, model=model, messages=[{"role": "user", "content": "word " * 200000}])
check("too long: a BadRequestError with its code", isinstance(e, openai.BadRequestError) and e.code == "context_length_exceeded" and e.body["n_prompt_tokens"] > e.body["n_ctx"], e)
e = failure(client.chat.completions.create, **{**common, "extra_body": {"temperature": "hot"}})
check("a wrong field: its name", isinstance(e, openai.BadRequestError) and e.param == "temperature" and e.request_id, e)
e = failure(client.responses.create, model=model, input="word " * 200000)
check("responses, too long: a BadRequestError", isinstance(e, openai.BadRequestError) and e.code == "context_length_exceeded", e)
with client.responses.create(model=model, input="word " * 200000, stream=True) as s:
    last = list(s)[-1]
check("responses, too long in a stream: response.failed", last.type == "response.failed" and last.response.error.code == "context_length_exceeded", last)
e = failure(client.responses.create, **{**told, "previous_response_id": "resp_1"})
check("responses: previous_response_id", isinstance(e, openai.BadRequestError) and e.param == "previous_response_id", e)
e = failure(client.batches.list)
check("an endpoint that is not there", isinstance(e, openai.NotFoundError), e)
done()
