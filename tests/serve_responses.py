#!/usr/bin/env python3
"""OpenAI's Responses as mini-cllm serves them to Codex CLI: serve_responses.py URL, of a server with agent.jinja.
Prints TAP."""
import json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done, events

url = sys.argv[1]
QUESTION = "Once upon a time"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "name": "weather", "description": "Tells the weather", "strict": False, "parameters": SCHEMA}
# the tiny model needs help to end its thinking, and to write JSON without empty lines
HELP = {"seed": 7, "logit_bias": [["<unk>", 11], ["\n", False], ["\n\n", False], [" ", False]]}


def respond(body, path="/v1/responses"):
    status, _, answer = ask(url, path, body)
    return status, answer


def text_of(response):
    return "".join(p["text"] for i in response["output"] if i["type"] == "message" for p in i["content"])


def message(role, *texts, kind="input_text"):
    return {"type": "message", "role": role, "content": [{"type": kind, "text": t} for t in texts]}


# ---- an answer, whole and streamed
status, whole = respond({"model": "gpt-5-codex", "input": QUESTION, "seed": 7, "max_output_tokens": 12, "metadata": {"a": "b"}, "store": True, "include": ["reasoning.encrypted_content"]})
usage = whole["usage"]
check("an answer", status == 200 and whole["object"] == "response" and whole["id"].startswith("resp_") and whole["error"] is None and text_of(whole), whole)
check("12 tokens are not the whole of it", whole["status"] == whole["output"][-1]["status"] == "incomplete" and whole["incomplete_details"] == {"reason": "max_output_tokens"}, whole)
check("the real name of the model, metadata, and nothing is stored", whole["model"] != "gpt-5-codex" and whole["metadata"] == {"a": "b"} and whole["store"] is False, whole)
check("usage adds up", usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] and usage["output_tokens"] == 12 and usage["input_tokens_details"]["cached_tokens"] == 0 and
      usage["output_tokens_details"]["reasoning_tokens"] == 0, usage)
check("/responses is the same", respond({"input": QUESTION, "seed": 7, "max_output_tokens": 12}, "/responses")[1]["output"][0]["content"] == whole["output"][0]["content"])
ended = respond({"input": QUESTION, "seed": 7, "logit_bias": [["</s>", 100]]})[1]
check("one that ends by itself is completed", ended["status"] == "completed" and ended["incomplete_details"] is None, ended)


def stream(body):
    """The events of a stream, after what holds for all of them."""
    named = list(events(url, "/v1/responses", {**body, "stream": True}, with_names=True))
    global well_formed
    list_of = [e for _, e in named]
    well_formed = (all(name == e.get("type") for name, e in named) and [e["sequence_number"] for e in list_of] == list(range(len(list_of))) and
                   [e["type"] for e in list_of[:2]] == ["response.created", "response.in_progress"] and list_of[0]["response"]["status"] == "in_progress" and
                   list_of[-1]["response"]["output"] == [e["item"] for e in list_of if e["type"] == "response.output_item.done"])
    return list_of


def joined(list_of, kind):
    return "".join(e["delta"] for e in list_of if e["type"] == kind)


got = stream({"input": QUESTION, "seed": 7, "max_output_tokens": 12})
check("a stream: types, numbers, and the output of its end", well_formed, got)
check("a stream: the same text", joined(got, "response.output_text.delta") == text_of(got[-1]["response"]) == text_of(whole), got)
check("a stream: each step of a message", [e["type"].removeprefix("response.") for e in got if not e["type"].endswith("delta")][2:] ==
      ["output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done", "incomplete"], got)
check("a stream: usage", got[-1]["response"]["usage"]["output_tokens"] == 12 and got[-1]["response"]["usage"]["input_tokens_details"]["cached_tokens"] == usage["input_tokens"] - 1, got[-1])
got = stream({"input": QUESTION, "seed": 7, "logit_bias": [["</s>", 100]]})
check("a stream that ends by itself is completed", got[-1]["type"] == "response.completed" and got[-1]["response"]["status"] == "completed", got[-1])

# ---- the model sees the same prompt as with chat completions: all its tokens but the last come from the cache
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
SAME = [
    ("a text", {"input": "A fox"}, [{"role": "user", "content": "A fox"}]),
    ("instructions and developers make one system message", {"instructions": "Be brief.", "input": [message("developer", "Be kind.", "Be true."), message("system", "Be good."), message("user", "A fox")]},
     [{"role": "system", "content": "Be brief.\n\nBe kind.\n\nBe true.\n\nBe good."}, {"role": "user", "content": "A fox"}]),
    ("parts, a message without type, a text as content", {"input": [{"role": "user", "content": "A fox"}, message("assistant", "Yes.", kind="output_text"), message("user", "And?"), message("developer", "Late.")]},
     [{"role": "user", "content": "A fox"}, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And?"}, {"role": "system", "content": "Late."}]),
    ("calls, results and reasoning", {"input": [message("user", "Weather?"), {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Ask."}], "encrypted_content": None},
                                                message("assistant", "I look.", kind="output_text"), {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
                                                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}]},
     [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "I look.", "reasoning_content": "Ask.", "tool_calls": [CALL]},
      {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "sunny"}]),
    ("summary null, content of reasoning, output as a list, a picture in it", {
        "input": [message("user", "Weather?"), {"type": "reasoning", "summary": None, "content": [{"type": "reasoning_text", "text": "Ask."}]},
                  {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
                  {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "sunny"}, {"type": "input_image", "image_url": "data:image/png;base64,AA"}]}]},
     [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": None, "reasoning_content": "Ask.", "tool_calls": [CALL]},
      {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": [{"type": "text", "text": "sunny"}, {"type": "text", "text": "[input_image: this model reads only text]"}]}]),
    ("output whose type is cut within a character", {
        "input": [message("user", "Weather?"), {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
                  {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "a" + 40 * "é"}]}]},
     [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
      {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "[a" + 14 * "é" + "\ufffd: this model reads only text]"}]),
    ("custom calls, and items that nobody knows", {
        "input": [message("user", "Patch"), {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}, {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "a \"b\""},
                  {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"}, {"type": "item_of_tomorrow", "x": 1}]},
     [{"role": "user", "content": "Patch"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "c2", "type": "function", "function": {"name": "apply_patch", "arguments": "{\"input\":\"a \\\"b\\\"\"}"}}]},
      {"role": "tool", "tool_call_id": "c2", "name": "apply_patch", "content": "done"}]),
    ("tools, flat or in namespaces; unknown ones are left out", {
        "input": "A fox", "tools": [WEATHER, {"type": "web_search", "external_web_access": True}, {"type": "namespace", "name": "mcp__a__", "description": "A", "tools": [{**WEATHER, "name": "ask"}]},
                                    {"type": "namespace", "name": "agents", "tools": [{**WEATHER, "name": "ask"}]}, {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}]},
     [{"role": "user", "content": "A fox"}]),
]
for name, body, messages in SAME:
    chat = {"messages": messages, "max_tokens": 1}
    if "tools" in body:
        chat["tools"] = [{"type": "function", "function": {"name": n, **{k: WEATHER[k] for k in ("description", "parameters", "strict")}}} for n in ("weather", "mcp__a__ask", "agents__ask")]
    n = ask(url, "/v1/chat/completions", chat)[2]["usage"]["prompt_tokens"]
    status, answer = respond({**body, "max_output_tokens": 1})
    check(f"input: {name}", status == 200 and answer["usage"]["input_tokens"] == n and answer["usage"]["input_tokens_details"]["cached_tokens"] == n - 1, (n, answer.get("usage", answer)))

# ---- calls
forced = {"input": QUESTION, "tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False, "max_output_tokens": 600, **HELP}
called = respond(forced)[1]
calls = [i for i in called["output"] if i["type"] == "function_call"]
check("a call", called["status"] == "completed" and len(calls) == 1 and calls[0]["name"] == "weather" and json.loads(calls[0]["arguments"])["city"] in ("Paris", "Rome") and calls[0]["call_id"] and
      "namespace" not in calls[0], called)
spaced = {**forced, "tools": [WEATHER, {"type": "namespace", "name": "mcp__x__", "tools": [WEATHER]}], "tool_choice": {"type": "function", "name": "weather", "namespace": "mcp__x__"}}
got = stream(spaced)
added = [e["item"] for e in got if e["type"] == "response.output_item.added"]
items = got[-1]["response"]["output"]
check("a call in a stream: types, numbers, and the output of its end", well_formed, got)
check("a call in a stream: named as the client named it", len(added) == len(items) == 1 and added[0]["status"] == "in_progress" and added[0]["arguments"] == "" and
      all((i["name"], i["namespace"]) == ("weather", "mcp__x__") for i in added + items), got)
check("a call in a stream: arguments in pieces", joined(got, "response.function_call_arguments.delta") == items[0]["arguments"] == [e for e in got if e["type"] == "response.function_call_arguments.done"][0]["arguments"] and
      json.loads(items[0]["arguments"])["city"] in ("Paris", "Rome") and sum(e["type"] == "response.function_call_arguments.delta" for e in got) > 1, got)
kinds = [e["type"] for e in got]
check("a call in a stream: done before completed", kinds[-2:] == ["response.output_item.done", "response.completed"], kinds)
two = {**forced, "tools": [WEATHER, {**WEATHER, "name": "news"}]}
allowed = respond({**two, "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "news"}]}})[1]
check("tool_choice: allowed_tools", [i["name"] for i in allowed["output"]] == ["news"], allowed)
check("tool_choice: none calls nothing", all(i["type"] == "message" for i in respond({**two, "tool_choice": "none"})[1]["output"]))
status, failed = respond({**two, "tool_choice": {"type": "function", "name": "nothing"}})
check("tool_choice: a tool that is not there", status == 400 and failed["error"]["param"] == "tool_choice", failed)

spelled = ['<tool_call>{\\"name\\": \\"weather\\", \\"arguments\\": {\\"city\\": \\"%s\\"}}</tool_call>' % city for city in ("Rome", "Paris")]
mixed = {"input": QUESTION, "tools": [WEATHER], "grammar": f'root ::= "<unk>"? "One." "{spelled[0]}" "Two." "{spelled[1]}" "Three."'}
got = stream(mixed)
told = [i["content"][0]["text"] if i["type"] == "message" else json.loads(i["arguments"])["city"] for i in got[-1]["response"]["output"]]
check("texts and calls in a stream: each in its place, by its index", well_formed and told == ["One.", "Rome", "Two.", "Paris", "Three."] and
      [e["output_index"] for e in got if e["type"] == "response.output_item.added"] == [0, 1, 2, 3, 4] and len({i["id"] for i in got[-1]["response"]["output"]}) == 5 and
      joined(got, "response.output_text.delta") == "One.Two.Three.", got)
whole = respond(mixed)[1]["output"]
check("texts and calls in one piece: the text first", [i["type"] for i in whole] == ["message", "function_call", "function_call"] and text_of({"output": whole}) == "One.Two.Three.", whole)

# ---- reasoning
thinking = {"input": QUESTION, "max_output_tokens": 600, "chat_template_kwargs": {"enable_thinking": True}, **HELP}
for summary, kind in (None, "reasoning_text"), ("auto", "reasoning_summary_text"):
    body = {**thinking, "reasoning": {"effort": "low", "summary": summary}}
    whole = respond(body)[1]
    got = stream(body)
    item = got[-1]["response"]["output"][0]
    parts = item["summary"] if summary else item["content"]
    index = "summary_index" if summary else "content_index"
    check(f"reasoning, summary {summary}: an item, first", well_formed and item["type"] == "reasoning" and len(parts) == 1 and parts[0]["text"] == joined(got, f"response.{kind}.delta") != "" and
          [i["type"] for i in got[-1]["response"]["output"]] == ["reasoning", "message"], got[-1])
    check(f"reasoning, summary {summary}: indexes, an end, the same in one piece", all(e[index] == 0 for e in got if kind in e["type"]) and sum(e["type"] == f"response.{kind}.done" for e in got) == 1 and
          [{k: v for k, v in i.items() if k != "id"} for i in whole["output"]] == [{k: v for k, v in i.items() if k != "id"} for i in got[-1]["response"]["output"]], (whole, got))
    spent = got[-1]["response"]["usage"]
    check(f"reasoning, summary {summary}: its tokens", 0 < spent["output_tokens_details"]["reasoning_tokens"] < spent["output_tokens"], spent)
high = respond({**thinking, "reasoning": {"effort": "high"}})[1]["usage"]["input_tokens"]
off = respond({**thinking, "chat_template_kwargs": {}, "reasoning": {"effort": "none"}})[1]
check("reasoning: effort reaches the template, none turns it off", off["usage"]["input_tokens"] < high and off["output"][0]["type"] == "message", (high, off))

# ---- forms of the text
for name, format in ("json_schema", {"type": "json_schema", "name": "w", "strict": True, "schema": SCHEMA}), ("json_object", {"type": "json_object"}), ("text", {"type": "text"}):
    answer = respond({"input": QUESTION, "max_output_tokens": 600, "text": {"format": format, "verbosity": "low"}, **HELP})[1]
    good = json.loads(text_of(answer))["city"] in ("Paris", "Rome") if name == "json_schema" else isinstance(json.loads(text_of(answer)), dict) if name == "json_object" and answer["status"] == "completed" else text_of(answer) != ""
    check(f"text.format {name}", good and answer["text"]["format"] == format, answer)
status, failed = respond({"input": QUESTION, "text": {"format": {"type": "json_object"}}, "grammar": 'root ::= "a"'})
check("two forms are refused", status == 400, failed)

# ---- a conversation as Codex CLI has it: stateless, each turn all that was before
TOOLS = [{"type": "function", "name": "exec_command", "description": "Runs a command.", "strict": False,
          "parameters": {"type": "object", "properties": {"cmd": {"type": "string", "enum": ["ls", "pwd"]}, "yield_time_ms": {"type": "number"}}, "required": ["cmd"], "additionalProperties": False}},
         {"type": "namespace", "name": "multi_agent_v1", "description": "Agents.", "tools": [
             {"type": "function", "name": "close_agent", "description": "Closes one.", "strict": False, "parameters": {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]}}]},
         {"type": "web_search", "external_web_access": False}]
HISTORY = [{**message("developer", "You are a coding agent in a terminal."), "id": "msg_0"}, message("developer", "<skills>none</skills>", "<permissions>all</permissions>"),
           message("user", "<environment_context>\n  <cwd>/src</cwd>\n</environment_context>"), message("user", "Say hi")]
CODEX = {"model": "gpt-5-codex", "stream": True, "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"summary": "auto"}, "store": False, "include": ["reasoning.encrypted_content"],
         "prompt_cache_key": "01a2", "client_metadata": {"x-codex-turn-metadata": "{}"}, "service_tier": None, "text": None}
n_before = 0
for turn in range(3):
    last = turn == 2
    # Codex leaves the choice to the model; this model must be told
    got = stream({**CODEX, "input": HISTORY, **({"max_output_tokens": 20, "seed": 7} if last else {"tool_choice": {"type": "function", "name": "exec_command"}, "parallel_tool_calls": False, "max_output_tokens": 600, **HELP})})
    response, used = got[-1]["response"], got[-1]["response"]["usage"]
    check(f"Codex, turn {turn + 1}: to its end", well_formed and got[-1]["type"] in (("response.completed", "response.incomplete") if last else ("response.completed",)) and
          [i["type"] for i in response["output"]] == (["message"] if last else ["function_call"]), got[-1])
    if turn > 0:
        check(f"Codex, turn {turn + 1}: evaluates only what is new", used["input_tokens_details"]["cached_tokens"] >= n_before - 1 and used["input_tokens"] > n_before, (n_before, used))
    n_before = used["input_tokens"]
    for item in response["output"]:
        HISTORY.append({k: v for k, v in item.items() if k != "status"})
        if item["type"] == "function_call":
            HISTORY.append({"type": "function_call_output", "id": f"fco_{turn}", "call_id": item["call_id"], "output": "Chunk ID: 08\nProcess exited with code 0\nOutput:\nhi\n"})

# ---- what is refused
for name, body, field in [("previous_response_id", {"input": QUESTION, "previous_response_id": "resp_1"}, "previous_response_id"), ("conversation", {"input": QUESTION, "conversation": "c"}, "conversation"),
                          ("background", {"input": QUESTION, "background": True}, "background"), ("no input", {}, "input"), ("an empty input", {"input": []}, "input"), ("an item that is none", {"input": [5]}, "input[0]"),
                          ("a role that nobody has", {"input": [message("critic", "x")]}, "input[0]"), ("a picture", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content"),
                          ("a call without its id", {"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0]"), ("a function without a name", {"input": QUESTION, "tools": [{"type": "function"}]}, "tools[0]"),
                          ("tools of a wrong type", {"input": QUESTION, "tools": {}}, "tools"), ("an unknown format", {"input": QUESTION, "text": {"format": {"type": "xml"}}}, "text.format.type"),
                          ("a schema that is missing", {"input": QUESTION, "text": {"format": {"type": "json_schema"}}}, "text.format.schema"), ("a number out of range", {"input": QUESTION, "top_p": 3}, "top_p")]:
    for streams in False, True:
        status, failed = respond({**body, "stream": streams})
        check(f"{name}: 400 with its field{', also of a stream' if streams else ''}", status == 400 and failed["error"]["param"] == field and failed["error"]["message"], failed)
nulls = {k: None for k in ("instructions", "tools", "tool_choice", "reasoning", "text", "temperature", "top_p", "max_output_tokens", "metadata", "previous_response_id", "stream", "store", "include", "truncation", "user")}
check("null means absent, unknown fields are ignored", respond({"input": QUESTION, **nulls, "max_output_tokens": 2, "nonsense": 1})[0] == 200)
long = {"input": "word " * 20000}
status, failed = respond(long)
check("too long: 400 with both counts", status == 400 and failed["error"]["code"] == "context_length_exceeded" and failed["error"]["n_prompt_tokens"] > failed["error"]["n_ctx"] > 0, failed)
got = list(events(url, "/v1/responses", {**long, "stream": True}, with_names=True))
check("too long: of a stream an event", [n for n, _ in got] == [e["type"] for _, e in got] == ["response.created", "response.failed"] and got[-1][1]["response"]["status"] == "failed" and
      got[-1][1]["response"]["error"]["code"] == "context_length_exceeded" and "exceeds the available context size" in got[-1][1]["response"]["error"]["message"], got)
status, headers, _ = ask(url, "/v1/responses", headers={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
check("a WebSocket: 426", status == 426, status)
check("a body in zstd: 415", ask(url, "/v1/responses", {"input": QUESTION}, headers={"Content-Encoding": "zstd"})[0] == 415)
done()
