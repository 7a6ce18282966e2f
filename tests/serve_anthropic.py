#!/usr/bin/env python3
"""Anthropic's API as mini-cllm serves it: serve_anthropic.py URL KEY. The server has tests/support/agent.jinja and 2048
positions. Prints TAP."""
import copy, json, os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask as ask_as, check, done, events as events_as

url, key = sys.argv[1], sys.argv[2]
HEADERS = {"x-api-key": key, "anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
           "x-app": "cli", "x-stainless-lang": "js"}
QUESTION = [{"role": "user", "content": "Once upon a time"}]
# the end of a reasoning is likely, and JSON has no white space
SHORT = [[0, 11], ["\n", False], ["\n\n", False], [" ", False]]


def ask(path, body=None, **more):
    return ask_as(url, path, body, **{"headers": HEADERS, **more})


def message(body):
    return ask("/v1/messages?beta=true", {"model": "claude-haiku-4-5", "max_tokens": 12, "seed": 7, "messages": QUESTION, **body})


def stream(body):
    return list(events_as(url, "/v1/messages?beta=true", {"model": "claude-sonnet-4-5", "max_tokens": 12, "seed": 7, "messages": QUESTION, "stream": True, **body},
                          HEADERS, with_names=True))


def count(body):
    status, _, answer = ask("/v1/messages/count_tokens?beta=true", {"model": "claude-haiku-4-5", "messages": QUESTION, **body})
    return answer["input_tokens"] if status == 200 else (status, answer)


def whole_prompt(usage):
    return usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]


def assemble(stream_of):
    """The message that the SDKs assemble from a stream, and what is wrong with the order of its events."""
    wrong, made, open_block, pending = [], None, None, ""
    for name, e in stream_of:
        if name != e["type"]:
            wrong.append(f"event {name} has the type {e['type']}")
        if (made is None) != (name == "message_start") and name != "ping":
            wrong.append(f"{name} comes where it may not")
            break
        if name == "message_start":
            made = copy.deepcopy(e["message"])
        elif name == "content_block_start":
            if open_block is not None or e["index"] != len(made["content"]):
                wrong.append(f"block {e['index']} begins while {open_block} is open")
            open_block, pending = e["index"], ""
            made["content"].append(dict(e["content_block"]))
        elif name == "content_block_delta":
            block, d = made["content"][e["index"]], e["delta"]
            if e["index"] != open_block:
                wrong.append(f"a delta of block {e['index']} while {open_block} is open")
            kinds = {"text": ["text_delta"], "thinking": ["thinking_delta", "signature_delta"], "tool_use": ["input_json_delta"]}[block["type"]]
            if d["type"] not in kinds or block.get("signature"):
                wrong.append(f"{d['type']} in {block}")
            if d["type"] == "text_delta":
                block["text"] += d["text"]
            elif d["type"] == "thinking_delta":
                block["thinking"] += d["thinking"]
            elif d["type"] == "signature_delta":
                block["signature"] += d["signature"]
            else:
                pending += d["partial_json"]
        elif name == "content_block_stop":
            block = made["content"][e["index"]]
            if e["index"] != open_block or (block["type"] == "thinking" and not block["signature"]):
                wrong.append(f"block {e['index']} ends: {block}")
            if block["type"] == "tool_use":
                try:
                    block["input"] = json.loads(pending or "{}")
                except ValueError:
                    block["cut"] = pending
            open_block = None
        elif name == "message_delta":
            if open_block is not None:
                wrong.append("message_delta before a block's end")
            made.update(e["delta"])
            made["usage"].update(e["usage"])
    if stream_of[-1][0] != "message_stop" or [n for n, _ in stream_of].count("message_delta") != 1:
        wrong.append("the end is missing")
    return made, wrong


# ---------------------------------------------------------------------------------------------------- keys and failures

status, headers, failure = ask_as(url, "/v1/messages", {"messages": QUESTION})
check("without a key: 401 in Anthropic's form", status == 401 and failure["type"] == "error" and failure["error"]["type"] == "authentication_error", failure)
check("a failure has the id of its request", failure["request_id"] and failure["request_id"] == headers["request-id"], failure)
check("the key as a Bearer", ask_as(url, "/v1/messages", {"messages": QUESTION, "max_tokens": 2}, headers={"Authorization": "Bearer " + key})[0] == 200)
check("the key beside another one", ask_as(url, "/v1/messages", {"messages": QUESTION, "max_tokens": 2}, headers={"Authorization": "Bearer other", "x-api-key": key})[0] == 200)
check("a wrong key", ask_as(url, "/v1/messages", {"messages": QUESTION}, headers={"x-api-key": "x" + key})[0] == 401)
status, _, failure = ask("/v1/messages/batches", {"requests": []})
check("an endpoint that is not there: not_found_error", status == 404 and failure["error"]["type"] == "not_found_error", failure)
status, headers, failure = ask("/v1/messages")
check("GET: 405 in the same form", status == 405 and headers["Allow"] == "POST" and failure["type"] == "error", failure)
status, _, failure = ask("/v1/messages", raw=b"{}", headers={**HEADERS, "Content-Length": "99999999999"})
check("a body that is too large: request_too_large", status == 413 and failure["error"]["type"] == "request_too_large", failure)
image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
use = {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls"}}
for name, body, words in [("no messages", {"messages": []}, "messages"), ("messages of a wrong type", {"messages": "hello"}, "messages"),
                          ("a role that is not there", {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
                          ("content missing", {"messages": [{"role": "user"}]}, "messages[0].content"),
                          ("an image of the user", {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image]}]}, "messages[0].content[1]: this model reads only text"),
                          ("a text block without text", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
                          ("a tool_use at the end", {"messages": QUESTION + [{"role": "assistant", "content": [use]}]}, "tool_result"),
                          ("a tool without a name", {"tools": [{"input_schema": {"type": "object"}}]}, "tools[0].name"),
                          ("a schema that is none", {"tools": [{"type": "web_search_20250305", "name": "web_search"}, {"name": "a", "input_schema": 5}]}, "tools[1].input_schema"),
                          ("a tool_choice that is not there", {"tool_choice": {"type": "some"}}, "tool_choice"),
                          ("thinking of a wrong type", {"thinking": {"type": "loud"}}, "thinking"), ("a wrong system", {"system": [{"type": "text"}]}, "system[0].text"),
                          ("temperature of a wrong type", {"temperature": "hot"}, "temperature"), ("stop_sequences of a wrong type", {"stop_sequences": 5}, "stop_sequences")]:
    for streams in (False, True):
        status, _, failure = message({**body, "stream": streams})
        check(f"{name}, {'streamed' if streams else 'whole'}: 400 that names it", status == 400 and failure["error"]["type"] == "invalid_request_error" and words in failure["error"]["message"], failure)
for path in ("/v1/messages", "/v1/messages/count_tokens"):
    long = [{"role": "user", "content": "word " * 5000}]
    status, _, failure = ask(path, {"messages": long, "max_tokens": 10, "stream": True})
    if path.endswith("tokens"):
        check("count_tokens: also of what is too long", status == 200 and failure["input_tokens"] > 5000, failure)
    else:
        found = re.fullmatch(r"prompt is too long: (\d+) tokens > (\d+) maximum", failure["error"]["message"])
        check("too long: the words that clients look for", status == 400 and found and int(found[1]) > int(found[2]) == 2048, failure)

# ------------------------------------------------------------------------------------------------------------- messages

listed = ask("/v1/models?limit=1000")[2]
model = listed["data"][0]
check("models: as Anthropic has them", listed["has_more"] is False and model["type"] == "model" and model["display_name"] == model["id"] and model["max_input_tokens"] == 2048 and
      re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", model["created_at"]), listed)
status, headers, answer = message({})
text = answer["content"][0].get("text", "")
check("a message", status == 200 and answer["type"] == "message" and answer["role"] == "assistant" and [b["type"] for b in answer["content"]] == ["text"] and text and
      answer["id"].startswith("msg_") and answer["stop_sequence"] is None, answer)
check("it has the model's own name", "claude" not in answer["model"], answer)
check("usage: the prompt as count_tokens counts it", whole_prompt(answer["usage"]) == count({}) and answer["usage"]["output_tokens"] == 12 and answer["stop_reason"] == "max_tokens", answer)
again = message({})[2]
check("again: the same text, and all but a token from the cache", again["content"] == answer["content"] and again["usage"]["input_tokens"] == 1 and
      again["usage"]["cache_read_input_tokens"] == count({}) - 1, again)
told = stream({})
made, wrong = assemble(told)
check("stream: the events in their order", not wrong, wrong)
check("stream: the same text", made["content"] == answer["content"] and made["stop_reason"] == "max_tokens", made)
check("stream: message_start has the prompt's tokens, message_delta all counts", told[0][1]["message"]["usage"]["output_tokens"] == 0 and
      whole_prompt(dict(answer["usage"], **told[0][1]["message"]["usage"])) == whole_prompt(told[-2][1]["usage"]) == count({}) and made["usage"]["cache_read_input_tokens"] == count({}) - 1, told)

word = text.split()[3]
stopped = message({"stop_sequences": ["zzz", word]})[2]
check("a stop sequence ends the text before it, and is named", stopped["stop_reason"] == "stop_sequence" and stopped["stop_sequence"] == word and
      "".join(b["text"] for b in stopped["content"]) == text[:text.index(word)], stopped)
made, wrong = assemble(stream({"stop_sequences": ["zzz", word]}))
check("and so in a stream", not wrong and made["content"] == stopped["content"] and (made["stop_reason"], made["stop_sequence"]) == ("stop_sequence", word), (made, wrong))
full = message({"max_tokens": 1000000, "logit_bias": [["</s>", False]]})[2]
check("max_tokens above what is left: the context ends it", full["stop_reason"] == "model_context_window_exceeded" and whole_prompt(full["usage"]) + full["usage"]["output_tokens"] in (2048, 2049), full["usage"])
warm = message({"max_tokens": 0, "messages": [{"role": "user", "content": "The old miller had a cat"}]})[2]
check("max_tokens 0 fills the cache", warm["content"] == [] and warm["stop_reason"] == "max_tokens" and warm["usage"]["output_tokens"] == 0, warm)
nulls = {k: None for k in ("system", "tools", "tool_choice", "thinking", "stop_sequences", "temperature", "top_p", "top_k", "metadata", "output_config", "stream", "service_tier", "container", "mcp_servers")}
check("null means absent, unknown fields are ignored", message({**nulls, "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}})[2]["content"] == answer["content"])
check("temperature, top_p, top_k and metadata are taken", len({message({"temperature": 0, "top_p": 0.9, "top_k": 5, "seed": s, "metadata": {"user_id": "u"}})[2]["content"][0]["text"] for s in (1, 2)}) == 1)
shape = message({"max_tokens": 300, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["age"], "additionalProperties": False}}},
                 "logit_bias": SHORT})[2]
check("output_config.format: JSON of a schema", 1 <= json.loads(shape["content"][-1]["text"])["age"] <= 9, shape)
begun = message({"messages": QUESTION + [{"role": "assistant", "content": "There was a"}]})[2]
check("a last message of the assistant goes on, with nothing between", begun["stop_reason"] == "max_tokens" and
      whole_prompt(begun["usage"]) <= count({"messages": [{"role": "user", "content": "Once upon a time There was a"}]}) + 2, begun)

# ----------------------------------------------------------------------------------------------------- what is rendered

check("system: a string or blocks", count({"system": "Be brief."}) == count({"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]}) > count({}))
check("system: U+0000 and what follows stay", count({"system": "Be\0 brief."}) == count({"system": [{"type": "text", "text": "Be\0 brief."}]}) > count({"system": "Be"}) + 1)
bill = "x-anthropic-billing-header: cc_version=2.0.{}.a1b; cc_entrypoint=cli; cch={};"
plain = count({"system": "Be brief."})
for name, system in {"a block": [{"type": "text", "text": bill.format(1, "aaaa")}, {"type": "text", "text": "Be brief."}], "a line": bill.format(2, "bbbbb") + "\nBe brief."}.items():
    check(f"the billing header, {name}, is not counted", count({"system": system}) == plain, count({"system": system}))
check("a system message in the middle", message({"messages": QUESTION + [{"role": "assistant", "content": "Yes?"}, {"role": "system", "content": "Be brief."}, QUESTION[0]]})[0] == 200)
tools = [{"name": "Bash", "description": "Runs a command", "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {"command": {"enum": ["ls", "pwd"]},
          "timeout": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["command", "timeout"], "additionalProperties": False}},
         {"name": "Read", "type": "custom", "description": "Reads a file", "input_schema": {"type": "object", "properties": {"file_path": {"enum": ["a.c", "b.c"]}}, "required": ["file_path"], "additionalProperties": False}}]
check("tools count; those of Anthropic's servers are skipped", count({"tools": tools}) == count({"tools": tools + [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]}) > count({}) + 50)



def after(result, use=use, **more):
    return {"messages": QUESTION + [{"role": "assistant", "content": [use]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"], "content": result, **more}]}]}


check("tool_result: a string or blocks", count(after("a.c b.c")) == count(after([{"type": "text", "text": "a.c b.c"}])) > count(after([])) > count({}))
check("tool_result without content", count(after(None)) == count(after("")) == count(after([])))
check("tool_result: is_error tells the model", count(after("a.c b.c", is_error=True)) > count(after("a.c b.c", is_error=False)) == count(after("a.c b.c")))
unknown = after("")
unknown["messages"][1]["content"] = [{**use, "id": "toolu_02"}]
check("tool_result: the id and the name of its call", count(after("", {**use, "id": "toolu_" + "01" * 20})) > count(after("")) + 10 and count(unknown) < count(after("")))
sizes = [count(after("", {**use, "input": {"timeout": n}})) for n in (0.1, 0.5)]
check("tool_use: a number keeps its spelling", sizes[0] == sizes[1], sizes)
check("tool_result: a block whose type is cut within a character", message(after([{"type": "a" + 40 * "é"}]))[0] == 200)
check("tool_result: an image becomes a text", message(after([{"type": "text", "text": "see"}, image]))[0] == 200 and count(after([image])) > count(after("")) + 5)
document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "All of it."}}
check("a document of text is read", count({"messages": [{"role": "user", "content": [document]}]}) == count({"messages": [{"role": "user", "content": "All of it."}]}))
old = [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "redacted_thinking", "data": "zzzz"}, {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
       {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}, {"type": "text", "text": "Yes?"}]
check("history: redacted thinking and what servers did are skipped", count({"messages": QUESTION + [{"role": "assistant", "content": old}] + QUESTION}) ==
      count({"messages": QUESTION + [{"role": "assistant", "content": "Yes?"}] + QUESTION}))
check("history: thinking reaches the template", count({"messages": QUESTION + [{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm, what now", "signature": "s"}, {"type": "text", "text": "Yes?"}]}] + QUESTION}) >
      count({"messages": QUESTION + [{"role": "assistant", "content": "Yes?"}] + QUESTION}) + 3)

# ------------------------------------------------------------------------------------------------------------- thinking

check("thinking: what the template shows of it", count({"thinking": {"type": "disabled"}}) == count({}) < count({"thinking": {"type": "enabled", "budget_tokens": 1024}}) == count({"thinking": {"type": "adaptive"}}))
efforts = [count({"thinking": {"type": "adaptive"}, "output_config": {"effort": e}}) for e in ("high", "xhigh", None)]
check("effort: as the template knows it", efforts[0] == efforts[1] > efforts[2], efforts)
think = {"max_tokens": 400, "logit_bias": {"0": 11}, "thinking": {"type": "enabled", "budget_tokens": 1024}}
thought = message(think)[2]
check("thinking: a block of its own, signed, before the text", [b["type"] for b in thought["content"]] == ["thinking", "text"] and thought["content"][0]["signature"] and thought["content"][0]["thinking"], thought)
made, wrong = assemble(stream(think))
check("thinking: the same in a stream, signature last", not wrong and made["content"] == thought["content"], (wrong, made))
quiet = {**think, "thinking": {"type": "adaptive", "display": "omitted"}}
hidden, (made, wrong) = message(quiet)[2], assemble(stream(quiet))
check("thinking: display omitted leaves the signature", not wrong and hidden["content"] == made["content"] and hidden["content"][0]["thinking"] == "" and hidden["content"][0]["signature"] and hidden["content"][1] == thought["content"][1], (wrong, made))
check("thinking: disabled gives none", [b["type"] for b in message({**think, "thinking": {"type": "disabled"}})[2]["content"]] == ["text"])

# ---------------------------------------------------------------------------------------------------------------- tools

forced = message({"max_tokens": 600, "tools": tools, "tool_choice": {"type": "tool", "name": "Read", "disable_parallel_tool_use": True}, "logit_bias": SHORT + [["</s>", False]]})[2]
check("tool_choice tool: this tool is called, once", [b["name"] for b in forced["content"] if b["type"] == "tool_use"] == ["Read"] and forced["content"][-1]["input"]["file_path"] in ("a.c", "b.c") and
      forced["content"][-1]["id"] and forced["stop_reason"] == "tool_use", forced)
check("tool_choice none: no tool is called", all(b["type"] == "text" for b in message({"tools": tools, "tool_choice": {"type": "none"}, "max_tokens": 40})[2]["content"]))
status, _, failure = message({"tools": tools, "tool_choice": {"type": "tool", "name": "Write"}})
check("tool_choice of a tool that is not there", status == 400 and "Write" in failure["error"]["message"], failure)


def claude_code(messages, turn, **more):
    """A body as Claude Code sends it, with what makes this tiny model think briefly and call."""
    return {"model": "claude-sonnet-4-5-20250929", "max_tokens": 32000, "stream": True, "seed": 11, "messages": messages, "metadata": {"user_id": "user_0_account__session_0"},
            "system": [{"type": "text", "text": bill.format(turn, f"{turn:05x}")}, {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", "cache_control": {"type": "ephemeral"}},
                       {"type": "text", "text": "You help with tasks of software. Be brief. Here is what the folder holds: " + "a.c b.c " * 20, "cache_control": {"type": "ephemeral"}}],
            "tools": tools + [{"type": "web_search_20250305", "name": "web_search"}], "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}, "logit_bias": SHORT, **more}


def turn(messages, n, **more):
    return assemble(list(events_as(url, "/v1/messages?beta=true", claude_code(messages, n, **more), HEADERS, with_names=True)))


talk = [{"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nToday is Sunday.\n</system-reminder>"},
                                     {"type": "text", "text": "What is in this folder?", "cache_control": {"type": "ephemeral"}}]}]
first, wrong = turn(talk, 1, tool_choice={"type": "any"})
calls = [b for b in first["content"] if b["type"] == "tool_use"]
check("Claude Code, turn 1: thinking, then calls", not wrong and first["content"][0]["type"] == "thinking" and calls and all(b["name"] in ("Bash", "Read") and b["input"] for b in calls) and first["stop_reason"] == "tool_use", (wrong, first))
results = [{"type": "tool_result", "tool_use_id": b["id"], "content": "a.c\nb.c", "is_error": False} for b in calls]
talk += [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": results + [{"type": "text", "text": "<system-reminder>\nBe quick.\n</system-reminder>"}]}]
second, wrong = turn(talk, 2, max_tokens=100)
n_first = whole_prompt(first["usage"])
check("Claude Code, turn 2: streamed to its end", not wrong and second["stop_reason"] in ("end_turn", "max_tokens", "tool_use") and second["content"], (wrong, second))
check("turn 2 evaluates only what is new, though the billing header differs", second["usage"]["cache_read_input_tokens"] >= n_first - 1 and second["usage"]["input_tokens"] <= whole_prompt(second["usage"]) - n_first + 1,
      (first["usage"], second["usage"]))
third, wrong = turn(talk + [{"role": "assistant", "content": [b for b in second["content"] if b["type"] != "tool_use"] + [{"type": "text", "text": "Done."}]}, QUESTION[0]], 3, max_tokens=20)
check("and so does turn 3", not wrong and third["usage"]["cache_read_input_tokens"] >= whole_prompt(second["usage"]) - 1, (second["usage"], third["usage"]))
print("#", n_first, second["usage"], third["usage"])
done()
