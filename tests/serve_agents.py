#!/usr/bin/env python3
"""Whole conversations as Cline and Open WebUI have them, each read as its client reads it: serve_agents.py URL KEY. The
server has tests/support/agent.jinja, 4096 positions and this key. Prints TAP.

The tiny model would not call a tool by itself. If a client leaves the choice to the model (tool_choice auto), a
grammar says what it answers."""
import ast, datetime, json, os, re, sys, threading, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask as ask_as, check, connect, done

url, key = sys.argv[1], sys.argv[2]
BEARER = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
CLINE = {**BEARER, "User-Agent": "OpenAI/JS 4.83.0", "X-Stainless-Lang": "js", "X-Stainless-Retry-Count": "0", "HTTP-Referer": "https://cline.bot", "X-Title": "Cline"}
WEBUI = {**BEARER, "X-OpenWebUI-User-Name": "Zo%C3%AB", "X-OpenWebUI-User-Id": "1", "X-OpenWebUI-User-Email": "zoe@example.org", "X-OpenWebUI-User-Role": "admin", "X-OpenWebUI-Chat-Id": "c1"}


def ask(path, body=None, headers=BEARER, **more):
    return ask_as(url, path, body, headers=headers, **more)


def lines(path, body, headers):
    """The lines of a stream, as they come."""
    c = connect(url)
    c.request("POST", urllib.parse.urlsplit(url).path + path, json.dumps(body), headers)
    r = c.getresponse()
    if r.status != 200:
        raise SystemExit(f"# {path}: {r.status} {r.read()}")
    for line in r:
        yield line.decode()
    c.close()


def says(*parts, thinks=False):
    """Makes the tiny model answer these parts; a pair is a call of a tool. It may think before; <unk> ends that."""
    quoted = ['<tool_call>{"name": "%s", "arguments": %s}</tool_call>' % (p[0], json.dumps(p[1])) if isinstance(p, tuple) else p for p in parts]
    mind = {"chat_template_kwargs": {"enable_thinking": True}, "logit_bias": [["<unk>", 11]]} if thinks else {"reasoning_effort": "none"}
    return {"grammar": "root ::= " + json.dumps("".join(quoted)), **mind}


def only_new(name, first, second):
    """The whole first prompt comes from the cache, except its end: the history has no <think>, and letters at the end
    become one token with those of the answer."""
    check(f"{name}: evaluates only what is new", first[0] - 8 <= second[1] < second[0] and second[0] > first[0], (first, second))


model = ask("/v1/models")[2]["data"][0]["id"]
check("a model needs a key", ask_as(url, "/v1/models")[0] == 401 and ask("/v1/models", headers={"Authorization": "Bearer x"})[0] == 401)

# --------------------------------------------------------------------------------------------- Cline, OpenAI Compatible

RULES = "You are Cline, a highly skilled software engineer.\n\n" + "".join(f"{i}. Rule {i}: work step by step, and say what you do.\n" for i in range(1, 31))
ENVIRONMENT = "<environment_details>\n# Current Working Directory (/home/zoe/src) Files\na.c\nb.c\n\n# Context Window Usage\n{} / 4K tokens used\n</environment_details>"


def function(name, description, **properties):
    return {"type": "function", "function": {"name": name, "description": description, "strict": False, "parameters": {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}}}


CLINE_TOOLS = [function("read_file", "Reads a file of the workspace.", path={"type": "string", "description": "Relative to the working directory"}),
               function("execute_command", "Runs a command.", command={"type": "string"}, requires_approval={"type": "boolean"}), function("list_code", "Lists all definitions."),
               function("attempt_completion", "Shows the result.", result={"type": "string"}, task_progress={"type": "string"})]


def cline_reads(path, body):
    """(text, reasoning, calls, usage, wrong). It remembers the last id and name of a call, and hands on deltas with
    arguments."""
    text, reasoning, calls, usage, wrong, last, reason = "", "", [], None, [], {"id": "", "name": ""}, None
    for line in lines(path, body, CLINE):
        if not line.startswith("data: ") or line.strip() == "data: [DONE]":
            continue
        chunk = json.loads(line[6:])
        choice = chunk["choices"][0] if chunk["choices"] else {}
        delta = choice.get("delta") or {}
        reason = choice.get("finish_reason") or reason
        text += delta.get("content") or ""
        reasoning += delta.get("reasoning_content") or ""
        for d in delta.get("tool_calls") or []:
            if d.get("id"):
                last["id"] = d["id"]
                calls.append({"index": d["index"], "id": d["id"], "name": "", "input": ""})
            last["name"] = d["function"].get("name") or last["name"]
            if not last["id"] or not last["name"] or d["index"] != calls[-1]["index"]:
                wrong.append(d)
            elif d["function"].get("arguments"):
                calls[-1]["name"] = last["name"]
                calls[-1]["input"] += d["function"]["arguments"]
        if chunk.get("usage"):
            usage = (chunk["usage"]["prompt_tokens"], chunk["usage"]["prompt_tokens_details"]["cached_tokens"], chunk["usage"]["completion_tokens"])
    if not usage or not reason:
        wrong.append("no usage, or no end")
    return text, reasoning, calls, usage, reason, wrong


def cline(messages, **more):
    """A value that is undefined in JavaScript is not sent."""
    return cline_reads("/v1/chat/completions", {"model": "qwen3-coder", "messages": messages, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **more})


def used(calls):
    """If an assistant only calls tools, its message has no content."""
    return [{"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": json.dumps(json.loads(c["input"]), separators=(",", ":"))}} for c in calls]


talk = [{"role": "system", "content": RULES}, {"role": "user", "content": [{"type": "text", "text": "<task>\nWhat does a.c do?\n</task>"}, {"type": "text", "text": ENVIRONMENT.format(1)}]}]
auto = {"tools": CLINE_TOOLS, "tool_choice": "auto", "parallel_tool_calls": False}
text, reasoning, calls, first, reason, wrong = cline(talk, **auto, **says("I read it.", ("read_file", {"path": "a.c"}), thinks=True))
check("Cline: reasoning, text and a call, each in its deltas", not wrong and reasoning and text == "I read it." and [c["name"] for c in calls] == ["read_file"] and
      json.loads(calls[0]["input"]) == {"path": "a.c"} and reason == "tool_calls" and "<think>" not in text + reasoning, (text, reasoning, calls, wrong))
talk += [{"role": "assistant", "content": text, "tool_calls": used(calls)}, {"role": "tool", "tool_call_id": calls[0]["id"], "content": "int main(void) { return 0; }"},
         {"role": "user", "content": [{"type": "text", "text": ENVIRONMENT.format(2)}]}]
text, _, calls, second, reason, wrong = cline(talk, **auto, **says(("list_code", {}), thinks=True))
check("Cline: a call without arguments is {}", not wrong and text == "" and [(c["name"], c["input"]) for c in calls] == [("list_code", "{}")], (text, calls, wrong))
only_new("Cline, turn 2", first, second)
talk += [{"role": "assistant", "tool_calls": used(calls)}, {"role": "tool", "tool_call_id": calls[0]["id"], "content": [{"type": "text", "text": "main"}, {"type": "text", "text": "helper"}]},
         {"role": "user", "content": [{"type": "text", "text": ENVIRONMENT.format(3)}]}]
text, _, calls, third, reason, wrong = cline(talk, **auto, **says(("attempt_completion", {"result": "It returns \"0\".\n", "task_progress": "- [x] read"})))
check("Cline: after a message without content, and a result in parts", not wrong and [json.loads(c["input"]) for c in calls] == [{"result": "It returns \"0\".\n", "task_progress": "- [x] read"}], (text, calls, wrong))
only_new("Cline, turn 3", second, third)

two = cline(talk[:2], tools=CLINE_TOOLS, **says(("read_file", {"path": "a.c"}), ("read_file", {"path": "b.c"})))
check("Cline, calls in parallel: each has its index, id and arguments", not two[5] and [(c["index"], json.loads(c["input"])["path"]) for c in two[2]] == [(0, "a.c"), (1, "b.c")] and len({c["id"] for c in two[2]}) == 2, two)
one = cline(talk[:2], **auto, **says(("read_file", {"path": "a.c"}), ("read_file", {"path": "b.c"})))
check("Cline, parallel_tool_calls false: the first alone", not one[5] and [json.loads(c["input"])["path"] for c in one[2]] == ["a.c"] and one[4] == "tool_calls", one)
must = cline(talk[:2], tools=CLINE_TOOLS[:1], tool_choice="required", max_tokens=900, logit_bias=[["\n", False], ["\n\n", False]])
check("Cline, tool_choice required: a call by the tool's schema", not must[5] and must[2] and must[2][0]["name"] == "read_file" and
      (must[4] == "length" or all(list(json.loads(c["input"])) == ["path"] for c in must[2])), must)
developer = cline([{**talk[0], "role": "developer"}] + talk[1:2], reasoning_effort="medium", max_tokens=8)
check("Cline, models that reason: a developer's message and reasoning_effort", not developer[5] and developer[3][0] > 400, developer)
lm_studio = cline(talk[:2], max_completion_tokens=5)
check("Cline, max_completion_tokens", not lm_studio[5] and 1 <= lm_studio[3][2] <= 5, lm_studio)
status, _, failure = ask("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "word " * 9000}], "stream": True}, CLINE)
check("Cline, too long: a status and the words by which it shortens its history", status == 400 and failure["error"]["code"] == "context_length_exceeded" and
      re.search(r"exceeds the available context size", failure["error"]["message"]), failure)
picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
status, _, failure = ask("/v1/chat/completions", {"model": model, "messages": [talk[0], {"role": "user", "content": [{"type": "text", "text": "see"}, picture]}], "stream": True}, CLINE)
check("Cline, a picture: refused before the stream begins", status == 400 and failure["error"]["message"], failure)

# ------------------------------------------------------------------------------------------- Cline, tools in its prompt

XML_RULES = RULES + "\nTool uses are formatted in tags of XML:\n<read_file>\n<path>File path here</path>\n</read_file>\n\n<write_to_file>\n<path>File path here</path>\n<content>\nAll of it\n</content>\n</write_to_file>\n"
talk = [{"role": "system", "content": XML_RULES}, {"role": "user", "content": [{"type": "text", "text": "<task>\nWhat does a.c do?\n</task>"}, {"type": "text", "text": ENVIRONMENT.format(1)}]}]
answer = "<thinking>\nI have to see it first.\n</thinking>\n\n<read_file>\n<path>a.c</path>\n</read_file>"
text, reasoning, calls, first, reason, wrong = cline(talk, **says(answer))
check("Cline, XML: its tags are text, <thinking> too", not wrong and (text, reasoning, calls, reason) == (answer, "", [], "stop"), (text, reasoning, calls, wrong))
talk += [{"role": "assistant", "content": text}, {"role": "user", "content": [{"type": "text", "text": "[read_file for 'a.c'] Result:"}, {"type": "text", "text": "int main(void) {\n    return 0;\n}"}, {"type": "text", "text": ENVIRONMENT.format(2)}]}]
answer = "<write_to_file>\n<path>b.c</path>\n<content>\nint x = 1 < 2;\n</content>\n</write_to_file>"
text, _, calls, second, reason, wrong = cline(talk, **says(answer))
check("Cline, XML, turn 2: a file with signs of XML", not wrong and (text, calls, reason) == (answer, [], "stop"), (text, calls, wrong))
only_new("Cline, XML, turn 2", first, second)

# --------------------------------------------------------------------------------------------- Open WebUI, OpenAI's API

listed = ask("/v1/models", headers=WEBUI)[2]
check("Open WebUI: models in a list, with ids, and no name that is null", isinstance(listed["data"], list) and all(m["id"] and m.get("name", "") is not None for m in listed["data"]) and "error" not in listed, listed)
WEBUI_TOOLS = [{"type": "function", "function": {"name": n, "description": d, "parameters": {"type": "object", "properties": p, "required": list(p)}}} for n, d, p in
               [("get_weather", "Get the weather of a city.", {"city": {"type": "string", "description": "The city"}}), ("get_current_timestamp", "Get the time.", {})]]


def webui_reads(stream):
    """(blocks, calls, usage, wrong). Open WebUI skips data that is not JSON without a message; here only [DONE] may be
    such data."""
    blocks, calls, usage, wrong, n_done = [], [], {}, [], 0
    for line in stream:
        if not line.strip():
            continue
        if not line.startswith("data:"):
            wrong += [line] if not line.startswith(":") else []
            continue
        try:
            data = json.loads(line[len("data:"):].strip())
        except ValueError:
            n_done += 1
            wrong += [line] if line.strip() != "data: [DONE]" else []
            continue
        used = dict(data.get("usage") or {}, **data.get("timings", {}))
        usage = used if data.get("usage") else usage
        if not data.get("choices"):
            wrong += [data["error"]] if data.get("error") else []
            continue
        delta = data["choices"][0].get("delta", {})
        for d in delta.get("tool_calls") or []:
            known = [c for c in calls if c["index"] == d["index"]]
            if not known:
                d["function"].setdefault("arguments", "")
                calls.append(d)
            else:
                known[0]["function"]["name"] += d["function"].get("name") or ""
                known[0]["function"]["arguments"] += d["function"].get("arguments") or ""
        for kind, value in ("reasoning", delta.get("reasoning_content") or delta.get("reasoning") or delta.get("thinking")), ("text", delta.get("content")):
            if value and (not blocks or blocks[-1][0] != kind):
                blocks.append([kind, ""])
            if value:
                blocks[-1][1] += value
    return blocks, calls, usage, wrong + (["no end"] if n_done != 1 else [])


def webui(messages, **more):
    return webui_reads(lines("/v1/chat/completions", {"stream": True, "model": model, "messages": messages, "temperature": 0.7, "seed": 5, "top_p": 0.9, "stop": ["###STOP"], "stream_options": {"include_usage": True}, **more}, WEBUI))


def webui_content(blocks):
    return "\n".join(f"<think>{text}</think>" if kind == "reasoning" else text.strip() for kind, text in blocks).strip()


def webui_results(calls):
    """Runs the tools. Arguments are read as Python or as JSON, and written anew in the history."""
    results = []
    for c in calls:
        try:
            values = ast.literal_eval(c["function"]["arguments"])
        except (ValueError, SyntaxError):
            values = json.loads(c["function"]["arguments"])
        c["function"]["arguments"] = json.dumps(values)
        results.append({"role": "tool", "tool_call_id": c["id"], "content": "Sunny, 21 °C" if values.get("city") else ""})
    return results


def counts(usage):
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]


def task_prompt(what, form):
    return f"### Task:\n{what}\n### Guidelines:\n- Your entire response must consist solely of the JSON object.\n### Output:\nJSON format: {form}\n### Chat History:\n<chat_history>\nUSER: How is the weather?\nASSISTANT: Sunny.\n</chat_history>"


TASKS = {"title": ("Generate a concise title summarizing the chat history.", {"title": "Sunny Days"}), "tags": ("Generate 1-3 broad tags.", {"tags": ["Weather", "Travel"]}),
         "follow_ups": ("Suggest 3-5 follow-up questions.", {"follow_ups": ["And tomorrow?"]}), "queries": ("Generate search queries.", {"queries": []})}
answers = {}


def run_task(name, path, body, read):
    what, form = TASKS[name]
    status, _, answer = ask(path, {"model": model, "messages": [{"role": "user", "content": task_prompt(what, json.dumps(form))}], "stream": False, **body, **(says(json.dumps(form)) if path[1] == "v" else {})}, WEBUI)
    answers[name] = (status, read(answer) if status == 200 else answer)


def openai_text(answer):
    message = answer["choices"][0]["message"]
    return (message["content"] or message.get("reasoning_content")) if len(answer["choices"]) == 1 else None


def beside(path, body, read, stream):
    """Requests of the tasks, while the chat's stream is written."""
    threads = [threading.Thread(target=run_task, args=(name, path, body, read)) for name in TASKS]
    for t in threads:
        t.start()
    got = stream()
    for t in threads:
        t.join()
    return got


system = {"role": "system", "content": "Model Knowledge:\n" + "The user lives by the sea, and likes to walk there when it is warm.\n" * 20}
talk = [system, {"role": "user", "content": [{"type": "text", "text": "How is the weather in Paris, and what time is it?"}]}]
blocks, calls, usage, wrong = beside("/v1/chat/completions", {"max_completion_tokens": 1000}, openai_text,
                                     lambda: webui(talk, tools=WEBUI_TOOLS, **says("I ask.", ("get_weather", {"city": "Paris"}), ("get_current_timestamp", {}), thinks=True)))
check("Open WebUI: reasoning, text, and two calls by their indexes", not wrong and [b[0] for b in blocks] == ["reasoning", "text"] and blocks[1][1] == "I ask." and
      [(c["index"], c["type"], c["function"]["name"], c["function"]["arguments"]) for c in calls] == [(0, "function", "get_weather", '{"city": "Paris"}'), (1, "function", "get_current_timestamp", "{}")] and
      len({c["id"] for c in calls}) == 2, (blocks, calls, wrong))
check("Open WebUI: usage and the speeds of llama-server", usage.get("total_tokens") == usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0) > 0 and usage.get("predicted_per_second", 0) > 0, usage)
for name, (_, form) in TASKS.items():
    status, text = answers[name]
    check(f"Open WebUI: the task '{name}' beside the stream", status == 200 and text and text[text.find("{"):text.rfind("}") + 1] == json.dumps(form), answers[name])
first = counts(usage)
results = webui_results(calls)
history = [*talk, {"role": "assistant", "content": webui_content(blocks), "tool_calls": calls}, *results]
blocks, calls, usage, wrong = webui(history, tools=WEBUI_TOOLS, **says(("get_weather", {"city": "Rome"})))
check("Open WebUI, turn 2: a call and nothing else", not wrong and blocks == [] and [c["function"]["arguments"] for c in calls] == ['{"city": "Rome"}'], (blocks, calls, wrong))
only_new("Open WebUI, turn 2", first, counts(usage))
second = counts(usage)
history += [{"role": "assistant", "content": "", "tool_calls": calls}, *webui_results(calls)]
blocks, calls, usage, wrong = webui(history, tools=WEBUI_TOOLS, **says("Sunny in both."))
check("Open WebUI, turn 3: the answer ends it", not wrong and blocks == [["text", "Sunny in both."]] and calls == [], (blocks, calls, wrong))
only_new("Open WebUI, turn 3, after content \"\"", second, counts(usage))
third = counts(usage)
history += [{"role": "assistant", "content": "Sunny in both."}, {"role": "user", "content": "Thanks"}]
blocks, calls, usage, wrong = webui(history, tools=WEBUI_TOOLS, max_tokens=10)
check("Open WebUI, the next question: to its end", not wrong and calls == [] and usage["completion_tokens"] <= 10, (blocks, usage, wrong))
only_new("Open WebUI, the next question", third, counts(usage))

status, _, answer = ask("/v1/chat/completions", {"model": model, "stream": False, "messages": [
    {"role": "system", "content": "Available Tools: " + json.dumps([t["function"] for t in WEBUI_TOOLS]) + "\nReturn an empty array if no tool fits, else a JSON object with \"tool_calls\"."},
    {"role": "user", "content": "History:\nUSER: \"\"\"Hello\"\"\"\nQuery: How is the weather?"}], **says('{"tool_calls": [{"name": "get_weather", "parameters": {"city": "Paris"}}]}')}, WEBUI)
check("Open WebUI, tools in its prompt: JSON is content, and calls nothing", status == 200 and json.loads(answer["choices"][0]["message"]["content"])["tool_calls"][0]["name"] == "get_weather" and
      "tool_calls" not in answer["choices"][0]["message"], answer)

# --------------------------------------------------------------------------------------------- Open WebUI, ollama's API

tags = ask("/api/tags", headers=WEBUI)[2]["models"]
version = ask_as(url, "/api/version")[2]["version"]
check("Open WebUI, ollama: the version is numbers", tuple(map(int, re.sub(r"^v|-.*", "", version).split("."))) > (0, 1), version)
check("Open WebUI, ollama: tags have model, name and details", tags and all(m["model"] and m["name"] and m["details"] is not None for m in tags), tags)
name = tags[0]["model"]
loaded = ask("/api/ps", headers=WEBUI)[2]["models"]
check("Open WebUI, ollama: ps says when a model of tags expires", {m["name"] for m in loaded} <= {m["name"] for m in tags} and loaded and
      all(datetime.datetime.fromisoformat(m["expires_at"].replace("Z", "+00:00")[:19] + "+00:00").timestamp() > 0 for m in loaded), loaded)
shown = ask("/api/show", {"model": name}, WEBUI)[2]
check("Open WebUI, ollama: show", shown["details"] and "tools" in shown["capabilities"] and any(k.endswith(".context_length") for k in shown["model_info"]), shown.get("capabilities"))
check("ollama's endpoints need the key", all(ask_as(url, p, b)[0] == 401 for p, b in (("/api/tags", None), ("/api/ps", None), ("/api/show", {"model": name}), ("/api/chat", {"model": name, "messages": []}))))
OPTIONS = {"temperature": 0.7, "seed": 5, "top_p": 0.9, "top_k": 40, "min_p": 0.0, "num_ctx": 4096, "num_batch": 512, "num_keep": 24, "num_predict": 400, "repeat_last_n": 64, "repeat_penalty": 1.1,
           "presence_penalty": 0.0, "frequency_penalty": 0.0, "penalize_newline": True, "mirostat": 0, "mirostat_eta": 0.1, "mirostat_tau": 5.0, "tfs_z": 1, "stop": ["###STOP"], "numa": False,
           "num_gpu": 1, "main_gpu": 0, "low_vram": False, "vocab_only": False, "use_mmap": True, "use_mlock": False, "num_thread": 2, "new_topic_penalty": 0.0}


def ollama_reads(body, headers=WEBUI):
    """(content, thinking, calls, the last line). Open WebUI turns the calls into OpenAI's form."""
    content, thinking, calls, last = "", "", [], None
    for line in lines("/api/chat", body, headers):
        last = json.loads(line)
        message = last["message"]
        content += message.get("content") or ""
        thinking += message.get("thinking") or ""
        for c in message.get("tool_calls") or []:
            calls.append({"index": c.get("index", c["function"].get("index", 0)), "id": c.get("id", "call_x"), "type": "function", "function": {"name": c["function"]["name"], "arguments": json.dumps(c["function"]["arguments"])}})
    return content, thinking, calls, last


def call_schema(city):
    """In ollama's API only format sets the form of an answer. A schema with one value is enough here."""
    return {"type": "object", "properties": {"city": {"const": city}}, "required": ["city"], "additionalProperties": False}


def webui_ollama(messages, **more):
    return ollama_reads({"model": name, "messages": messages, "stream": True, "options": OPTIONS, "keep_alive": "5m", **more})


talk = [system, {"role": "user", "content": "How is the weather in Paris?"}]
content, thinking, calls, last = beside("/api/chat", {"options": {"num_predict": 20}}, lambda a: a["message"]["content"], lambda: webui_ollama(talk, think=False, format=call_schema("Paris")))
check("Open WebUI, ollama: a stream to its end, in the form that was asked for", json.loads(content) == {"city": "Paris"} and not thinking and not calls and last["done"] and last["done_reason"] == "stop" and
      all(type(last[k]) is int and last[k] > 0 for k in ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")), (content, thinking, last))
for task in TASKS:
    check(f"Open WebUI, ollama: the task '{task}' beside the stream", answers[task][0] == 200 and isinstance(answers[task][1], str), answers[task])
called = [{"index": i, "id": f"call_{i}", "function": {"name": "get_weather", "arguments": {"city": c}}} for i, c in enumerate(("Paris", "Rome"))]
history = [*talk, {"role": "assistant", "content": "", "tool_calls": called}, *({"role": "tool", "tool_call_id": c["id"], "content": "Sunny"} for c in called)]
content, thinking, calls, more = webui_ollama(history, tools=WEBUI_TOOLS, think=True, keep_alive=300, options={**OPTIONS, "num_predict": 12})
check("Open WebUI, ollama: calls and results in its history, think, keep_alive in seconds", more["done"] and more["eval_count"] <= 12 and more["prompt_eval_count"] > last["prompt_eval_count"] and thinking and not calls, (content, thinking, more))
status, _, unloaded = ask("/api/generate", {"model": name, "keep_alive": 0, "prompt": ""}, WEBUI)
check("Open WebUI, ollama: unload", status == 200 and unloaded["done_reason"] == "unload", unloaded)
check("Open WebUI, ollama: and it is loaded again when it is named", json.loads(webui_ollama(talk, think=False, format=call_schema("Rome"))[0]) == {"city": "Rome"})

# -------------------------------------------------------------------------------------------------- Cline, ollama's API

talk = [{"role": "system", "content": XML_RULES}, {"role": "user", "content": "<task>\nWhat does a.c do?\n</task>\n" + ENVIRONMENT.format(1)}]
content, _, calls, last = ollama_reads({"model": name, "messages": talk, "stream": True, "options": {"num_ctx": 32768}, "think": False, "format": call_schema("a.c")}, CLINE)
check("Cline, ollama: num_ctx above what there is, a stream to its end", json.loads(content) == {"city": "a.c"} and last["done"] and last["prompt_eval_count"] > 400, (content, last))
talk += [{"role": "assistant", "content": content}, {"role": "user", "content": "[read_file for 'a.c'] Result:"}, {"role": "user", "content": ENVIRONMENT.format(2)}]
content, _, _, last = ollama_reads({"model": name, "messages": talk, "stream": True, "options": {"num_ctx": 32768, "num_predict": 5}}, CLINE)
check("Cline, ollama: results are messages of the user, two in turn", last["done"] and 1 <= last["eval_count"] <= 5, (content, last))
done()
