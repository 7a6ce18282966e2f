#!/usr/bin/env python3
"""llama-server's API as mini-cllm serves it: serve_llama.py URL FOLDER PROGRAM MODEL. FOLDER has the saved slots. The
server's tokens for infill are the bytes 2 to 6 (prefix, suffix, middle, repository, file); it has 2 slots and 1024
positions in all. Prints TAP."""
import json, os, re, signal, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, connect, done, events
from servers import until

url, folder, program, model = sys.argv[1:5]
TEXT = "Once upon a time"


def completion(body, **more):
    return ask(url, "/completion", {"prompt": TEXT, "seed": 7, "n_predict": 12, **body, **more})


def refused(name, path, body, status, field=None, type="invalid_request_error"):
    got, _, failure = ask(url, path, body)
    error = failure.get("error", {}) if isinstance(failure, dict) else {}
    check(f"{name}: {status}, in llama-server's form", got == status and error.get("code") == status and error.get("type") == type and
          (field is None or error["message"].startswith(field)), failure)


# ---- what the server is
status, _, props = ask(url, "/props")
check("props: what clients read", status == 200 and props["total_slots"] == 2 and props["n_ctx"] == props["default_generation_settings"]["n_ctx"] == 512 and
      props["model_path"] == model and "<|im_start|>" in props["chat_template"] and props["bos_token"] == "<s>" and props["eos_token"] == "</s>" and
      props["modalities"] == {"vision": False, "audio": False} and props["build_info"] and props["is_sleeping"] is False, props)
params = props["default_generation_settings"]["params"]
check("props: what a request begins with", params["seed"] == 4294967295 and params["n_predict"] == -1 and params["temperature"] == 0.8 and params["top_p"] == 0.9 and params["top_k"] == 40 and "top_k" in params["samplers"], params)
refused("POST /props", "/props", {"a": 1}, 501, type="not_supported_error")
check("lora-adapters: none", ask(url, "/lora-adapters")[2] == [])
refused("POST /lora-adapters", "/lora-adapters", [], 501, type="not_supported_error")
for path in ("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"):
    refused(path, path, {"query": "a", "documents": ["b"]}, 501, type="not_supported_error") # the model has no classifier
name = ask(url, "/v1/models")[2]["data"][0]["id"]

# ---- tokens
tokens = ask(url, "/tokenize", {"content": "a</s> b"})[2]["tokens"]
plain = ask(url, "/tokenize", {"content": "a</s> b", "parse_special": False})[2]["tokens"]
check("tokenize: special tokens are read unless parse_special is false", 2 in tokens and 2 not in plain and len(plain) > len(tokens), (tokens, plain))
check("tokenize: add_special", ask(url, "/tokenize", {"content": "a", "add_special": True})[2]["tokens"][0] == 1 and 1 not in ask(url, "/tokenize", {"content": "a"})[2]["tokens"])
pieces = ask(url, "/tokenize", {"content": "h\u00fb\U0001F600", "with_pieces": True})[2]["tokens"]
check("tokenize: pieces are texts, or bytes where they are no UTF-8", b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces)
      .decode().strip() == "h\u00fb\U0001F600" and any(isinstance(p["piece"], list) for p in pieces), pieces)
check("detokenize: back to the text", ask(url, "/detokenize", {"tokens": ask(url, "/tokenize", {"content": TEXT})[2]["tokens"]})[2] == {"content": TEXT})
refused("tokenize without content", "/tokenize", {}, 400, "content")
refused("detokenize of no id", "/detokenize", {"tokens": [1, 10**6]}, 400, "tokens[1]")

# ---- templates
chat = [{"role": "user", "content": "Hi"}]
check("apply-template", ask(url, "/apply-template", {"messages": chat})[2] == {"prompt": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"})
check("apply-template without a generation prompt", ask(url, "/apply-template", {"messages": chat, "add_generation_prompt": False})[2] == {"prompt": "<|im_start|>user\nHi<|im_end|>\n"})
result = [{"type": t, "text": t} for t in ("text", "input_text", "output_text")] + [{"type": "image_url", "image_url": {"url": "x"}}]
shown = ask(url, "/apply-template", {"messages": [*chat, {"role": "tool", "content": result}]})[2]["prompt"]
check("apply-template: all texts of a tool's result stay, and an image is mentioned", "tool\ntext\ninput_text\noutput_text\n[an image, which" in shown, shown)
refused("apply-template without messages", "/apply-template", {}, 400, "messages")

# ---- completions
status, _, whole = completion({"return_tokens": True, "n_probs": 3})
text = whole["content"]
check("completion: what it says of a text", status == 200 and text and whole["stop"] is True and whole["stop_type"] == "limit" and whole["stopping_word"] == "" and
      whole["truncated"] is False and whole["model"] == name and whole["prompt"] == "<s>" + TEXT and whole["generation_settings"]["seed"] == 7 and
      whole["generation_settings"]["n_predict"] == 12 and whole["index"] == 0, whole)
check("completion: counts", whole["tokens_predicted"] == len(whole["tokens"]) == 12 == whole["timings"]["predicted_n"] and
      whole["tokens_cached"] == whole["tokens_evaluated"] + 11, whole)
check("completion: the tokens are the text's", ask(url, "/detokenize", {"tokens": whole["tokens"]})[2]["content"].strip() == text.strip(), whole["tokens"])
probabilities = whole["completion_probabilities"]
check("completion: n_probs", [p["id"] for p in probabilities] == whole["tokens"] and "".join(p["token"] for p in probabilities) == text and
      all(len(p["top_logprobs"]) == 3 and all({"id", "token", "bytes", "logprob"} <= set(t) for t in p["top_logprobs"]) for p in probabilities), probabilities)
check("completion: /completions is the same", ask(url, "/completions", {"prompt": TEXT, "seed": 7, "n_predict": 12})[2]["content"] == text)
check("completion: tokens only if asked for", completion({})[2]["tokens"] == [])
check("completion: n_predict -1 goes on, null means absent", completion({"n_predict": None, "stop": None, "max_tokens": 3})[2]["tokens_predicted"] == 3)
zero = completion({"n_predict": 0})[2]
check("completion: n_predict 0 evaluates the prompt alone", zero["content"] == "" and zero["tokens_predicted"] == 0 and zero["stop_type"] == "limit", zero)
ids = ask(url, "/tokenize", {"content": TEXT, "add_special": True})[2]["tokens"]
check("completion: a prompt of ids", completion({"prompt": ids})[2]["content"] == text)
mixed = completion({"prompt": ids[:2] + [whole["prompt"][3:] and TEXT[len("Once"):]]}) if len(ids) > 1 else None
check("completion: a prompt of ids and texts is one", mixed[0] == 200 and isinstance(mixed[2], dict) and mixed[2]["prompt"].startswith("<s>"), mixed)
many = completion({"prompt": [TEXT, ids, "The dog"]})[2]
check("completion: several prompts", isinstance(many, list) and [m["index"] for m in many] == [0, 1, 2] and many[0]["content"] == many[1]["content"] == text, many)
check("completion: prompt_string", completion({"prompt": {"prompt_string": TEXT}})[2]["content"] == text)
refused("completion: images", "/completion", {"prompt": {"prompt_string": TEXT, "multimodal_data": ["aaaa"]}}, 501, "prompt", type="not_supported_error")
check("completion: special tokens are read in a prompt", completion({"prompt": "a</s>b", "n_predict": 1})[2]["tokens_evaluated"] ==
      len(ask(url, "/tokenize", {"content": "a</s>b", "add_special": True})[2]["tokens"]))

word = text.split()[2]
lists = {"stop": ["a\0b"], "dry_sequence_breakers": ["\0", "a\0b"]}
settings = completion(lists)[2]["generation_settings"]
check("completion: stop strings and breakers may contain U+0000", {k: settings[k] for k in lists} == lists, settings)
zero = ask(url, "/tokenize", {"content": "a\0b"})[2]["tokens"]
biased = completion({"logit_bias": [["", 1], ["a\0b", -1], ["", 2]]})[2]["generation_settings"]["logit_bias"]
check("completion: the bias of a text with U+0000, and of an empty one", len(biased) == 3 and [b["token"] for b in biased][1:] == zero[-2:], (biased, zero))
stopped = completion({"stop": [word]})[2]
check("completion: a stop string", stopped["stop_type"] == "word" and stopped["stopping_word"] == word and stopped["content"] == text[:text.index(word)], stopped)
ended = completion({"n_predict": -1, "temperature": 0, "logit_bias": [[2, 100]]})[2]
check("completion: the end of a text", ended["stop_type"] == "eos" and ended["truncated"] is False, ended)
cut = completion({"n_predict": -1, "ignore_eos": True})[2]
check("completion: a full context", cut["stop_type"] == "limit" and cut["truncated"] is True and cut["tokens_evaluated"] + cut["tokens_predicted"] >= 512, cut["timings"])
fields = completion({"response_fields": ["content", "generation_settings/n_predict", "timings/predicted_n", "nothing", "timings/nothing", "a/b/c"]})[2]
check("completion: response_fields", fields == {"content": text, "generation_settings/n_predict": 12, "timings/predicted_n": 12}, fields)

stream = list(events(url, "/completion", {"prompt": TEXT, "seed": 7, "n_predict": 12, "stream": True, "timings_per_token": True, "n_probs": 1}))
check("stream: the same text, and its tokens", "".join(e["content"] for e in stream) == text and sum((e["tokens"] for e in stream), []) == whole["tokens"], stream[-1])
check("stream: only the last event stops, and has all the rest", [e["stop"] for e in stream] == [False] * (len(stream) - 1) + [True] and stream[-1]["stop_type"] == "limit" and
      stream[-1]["content"] == "" and stream[-1]["timings"]["predicted_n"] == 12 and "generation_settings" in stream[-1], stream[-1])
check("stream: timings and probabilities of each", all("timings" in e and len(e["completion_probabilities"]) == len(e["tokens"]) for e in stream[:-1]), stream[0])
long = ("word " * 100)[:-1]
progress = [e["prompt_progress"] for e in events(url, "/completion", {"prompt": long, "n_predict": 1, "stream": True, "return_progress": True, "cache_prompt": False}) if "prompt_progress" in e]
check("stream: progress of a prompt", progress and all(p["total"] >= p["processed"] >= p["cache"] == 0 for p in progress), progress)
c = connect(url)
c.request("POST", "/completion", json.dumps({"prompt": TEXT, "n_predict": 2, "stream": True}))
raw = c.getresponse().read().decode()
c.close()
check("stream: without [DONE], which llama-server does not send here", "[DONE]" not in raw and raw.startswith("data: {") and raw.endswith("}\n\n"), raw[-200:])

status, _, failure = completion({"prompt": "word " * 2000})
check("too long: with both counts", status == 400 and failure["error"]["type"] == "exceed_context_size_error" and failure["error"]["n_prompt_tokens"] > failure["error"]["n_ctx"] == 512 and
      "exceeds the available context size" in failure["error"]["message"], failure)
for name_of, body, field in [("no prompt", {"prompt": None}, "prompt"), ("a wrong type", {"temperature": "hot"}, "temperature"), ("no slot", {"id_slot": "a"}, "id_slot"),
                             ("an id outside the vocabulary", {"prompt": [1, 10**7]}, "prompt"), ("no list", {"response_fields": "content"}, "response_fields"),
                             ("two forms", {"grammar": 'root ::= "a"', "json_schema": {}}, ""), ("a bad grammar", {"grammar": "root ::= ("}, "grammar")]:
    refused(f"completion: {name_of}", "/completion", {"prompt": TEXT, "n_predict": 1, **body}, 400, field)
refused("completion: post_sampling_probs", "/completion", {"prompt": TEXT, "n_probs": 1, "post_sampling_probs": True}, 501, "post_sampling_probs", "not_supported_error")
refused("completion: lora", "/completion", {"prompt": TEXT, "lora": [{"id": 0, "scale": 1}]}, 501, "lora", "not_supported_error")
check("completion: a grammar", completion({"grammar": 'root ::= "yes" | "no"'})[2]["content"] in ("yes", "no"))
empty = completion({"grammar": "root ::="})[2]
check("completion: a grammar of the empty text ends at once", empty["content"] == "" and empty["stop_type"] == "eos" and empty["tokens_predicted"] == 0, empty)
number = completion({"json_schema": {"type": "integer", "minimum": 1, "maximum": 3}})[2]
check("completion: a schema", float(number["content"]) in (1, 2, 3), number)
check("completion: repeat_last_n -1 is the whole text", completion({"repeat_last_n": -1, "dry_penalty_last_n": -1, "dry_multiplier": 0.5})[0] == 200)

# lines: the grammar writes them, whatever the model thinks
lines = {"prompt": TEXT, "n_predict": 200, "grammar": 'root ::= "a\\n    bb\\n  cc\\ndd\\n"'}
check("n_indent: the text ends at a line that is indented by less", ask(url, "/completion", {**lines, "n_indent": 4})[2]["content"] == "a\n    bb\n  ")
check("n_indent: as far as lines are", ask(url, "/completion", {**lines, "n_indent": 2})[2]["content"] == "a\n    bb\n  cc\n")
indented = ask(url, "/completion", {**lines, "n_indent": 4})[2]
check("n_indent: it is a limit, and the text has a new line", indented["stop_type"] == "limit" and indented["has_new_line"] is True, indented)
check("n_indent 0: the whole text", ask(url, "/completion", lines)[2]["content"] == "a\n    bb\n  cc\ndd\n")
timed = ask(url, "/completion", {"prompt": TEXT, "n_predict": 100, "t_max_predict_ms": 1, "grammar": 'root ::= "' + "a" * 60 + '\\n" [b]+'})[2]["content"]
check("t_max_predict_ms: counts once there is a new line", timed.startswith("a" * 60 + "\n") and len(timed) < 95, timed)

# ---- gaps
B = [chr(i) for i in range(2, 7)]  # prefix, suffix, middle, repository, file


def infill(body):
    return ask(url, "/infill", {"input_prefix": "int a;\n", "input_suffix": "\nend", "n_predict": 4, "seed": 7, **body})[2]


filled = infill({"prompt": "int b"})
check("infill: prefix, suffix, middle", filled["prompt"] == f"<s>{B[3]}myproject\n{B[4]}filename\n{B[0]}int a;\nint b{B[1]}\nend{B[2]}" and filled["tokens_predicted"] == 4, filled["prompt"])
extra = [{"filename": "a.c", "text": "first\n", "time": [1, 2]}, {"text": "second\n"}]
check("infill: files", infill({"input_extra": extra})["prompt"] == f"<s>{B[3]}myproject\n{B[4]}a.c\nfirst\n{B[4]}tmp\nsecond\n{B[4]}filename\n{B[0]}int a;\n{B[1]}\nend{B[2]}")
many = [{"filename": f"{i}.c", "text": f"number {i} of some text\n"} for i in range(100)]
check("infill: the name of a file may contain U+0000", f"{B[4]}a\0b\nc" in infill({"input_extra": [{"filename": "a\0b", "text": "c"}]})["prompt"])
prompt = infill({"input_extra": many})["prompt"]
check("infill: of too many files the last stay, each whole", "\n99.c"[1:] in prompt and f"{B[4]}0.c" not in prompt and prompt.startswith(f"<s>{B[3]}myproject\n{B[4]}") and
      prompt.split(B[4])[1].split("\n")[1].startswith("number"), prompt[:200])
long = infill({"input_prefix": "".join(f"p{i} " for i in range(1000)), "input_suffix": "".join(f"s{i} " for i in range(1000))})
check("infill: of a long text what is near the gap stays", f"p999 {B[1]}s0 " in long["prompt"] and "p0 " not in long["prompt"] and "s999" not in long["prompt"] and
      300 < long["tokens_evaluated"] < 512, (long["tokens_evaluated"], long["prompt"][-200:]))
one, more = (infill({"input_prefix": "".join(f"p{i} " for i in range(1000)) + typed, "n_predict": 0}) for typed in ("", "typed on"))
check("infill: of one that grows what stays begins with the same tokens", more["timings"]["prompt_n"] < one["tokens_evaluated"] // 2, more["timings"])
spelled = infill({"input_prefix": "</s>", "input_suffix": ""})
n_plain = len(ask(url, "/tokenize", {"content": "</s>", "parse_special": False})[2]["tokens"])
n_empty = infill({"input_prefix": "", "input_suffix": ""})["tokens_evaluated"]
check("infill: a user's text is no special token", spelled["tokens_evaluated"] - n_empty in (n_plain, n_plain - 1) and n_plain > 2, (spelled["tokens_evaluated"], n_empty, n_plain))
# as llama.vim (autoload/llama.vim) asks: first the files, to have them in the cache, and then for a text
vim = {"input_prefix": "", "input_suffix": "", "input_extra": extra, "prompt": "", "n_predict": 0, "temperature": 0.0, "stream": False, "samplers": [], "cache_prompt": True,
       "t_max_prompt_ms": 1, "t_max_predict_ms": 1, "response_fields": [""]}
check("llama.vim: fills the cache", ask(url, "/infill", vim)[::2] == (200, {}))
wanted = ["content", "timings/prompt_n", "timings/prompt_ms", "timings/prompt_per_token_ms", "timings/prompt_per_second", "timings/predicted_n", "timings/predicted_ms",
          "timings/predicted_per_token_ms", "timings/predicted_per_second", "truncated", "tokens_cached"]
status, _, shown = ask(url, "/infill", {**vim, "input_prefix": "int main() {\n", "input_suffix": "\n}\n", "prompt": "    ret", "n_predict": 16, "n_indent": 4, "top_k": 40, "top_p": 0.99,
                                        "samplers": ["top_k", "top_p", "infill"], "t_max_predict_ms": 1500, "response_fields": wanted, "temperature": None})
n_all = ask(url, "/infill", {**vim, "input_prefix": "int main() {\n", "input_suffix": "\n}\n", "prompt": "    ret", "response_fields": ["tokens_evaluated"]})[2]["tokens_evaluated"]
check("llama.vim: asks for a text, whose files are cached", status == 200 and set(shown) == set(wanted) and shown["timings/prompt_n"] < n_all - 10, (shown, n_all))
for name_of, body, field in [("no prefix", {"input_prefix": None}, "input_prefix"), ("no suffix", {"input_suffix": None}, "input_suffix"), ("a wrong prompt", {"prompt": [1]}, "prompt"),
                             ("a file without text", {"input_extra": [{"filename": "a"}]}, "input_extra[0]"), ("files that are no list", {"input_extra": {}}, "input_extra")]:
    refused(f"infill: {name_of}", "/infill", {"input_prefix": "a", "input_suffix": "b", **body}, 400, field)
suffixed = ask(url, "/v1/completions", {"prompt": "int a;\n", "suffix": "\nend", "max_tokens": 4, "seed": 7})[2]["choices"][0]["text"]


def within(text):  # the tokens of a text that follows other text
    before, both = (ask(url, "/tokenize", {"content": "\n" + t})[2]["tokens"] for t in ("", text))
    return both[len(before):]


gap = [1, 5, *within("int a;\n"), 6, *within("\nend"), 7]
check("/v1/completions: a suffix is a gap to fill", suffixed == completion({"prompt": gap, "n_predict": 4})[2]["content"], suffixed)
check("/v1/completions: an empty suffix is none", ask(url, "/v1/completions", {"prompt": TEXT, "suffix": "", "max_tokens": 12, "seed": 7})[2]["choices"][0]["text"] == text)
check("/v1/completions: suffix and echo", ask(url, "/v1/completions", {"prompt": "a", "suffix": "b", "echo": True})[2]["error"]["param"] == "suffix")

# ---- embeddings
openai = ask(url, "/v1/embeddings", {"input": "a dog"})[2]["data"][0]["embedding"]
for path in ("/embedding", "/embeddings"):
    status, _, own = ask(url, path, {"content": "a dog"})
    check(f"{path}: a list of lists", status == 200 and own[0]["index"] == 0 and len(own[0]["embedding"]) == 1 and all(abs(a - b) < 1e-6 for a, b in zip(own[0]["embedding"][0], openai)), own)
check("embedding: several", [e["index"] for e in ask(url, "/embedding", {"input": ["a", "b"]})[2]] == [0, 1])
for norm, length in [(0, lambda v: max(map(abs, v)) / 32760), (1, lambda v: sum(map(abs, v))), (3, lambda v: sum(abs(x) ** 3 for x in v) ** (1 / 3))]:
    vector = ask(url, "/embedding", {"content": "a dog", "embd_normalize": norm})[2][0]["embedding"][0]
    check(f"embedding: embd_normalize {norm}", abs(length(vector) - 1) < 1e-3, length(vector))
refused("embedding: embd_normalize -1", "/embedding", {"content": "a", "embd_normalize": -1}, 501, "embd_normalize", "not_supported_error")
refused("embedding: nothing", "/embedding", {}, 400, "content")

# ---- slots
slots = ask(url, "/slots")[2]
check("slots: two, which are free", [s["id"] for s in slots] == [0, 1] and not any(s["is_processing"] for s in slots) and all(s["n_ctx"] == 512 for s in slots), slots)
slow = connect(url)
slow.request("POST", "/completion", json.dumps({"prompt": TEXT, "n_predict": -1, "ignore_eos": True, "stream": True, "id_slot": 1, "grammar": "root ::= [a-z ]+", "temperature": 3}))
answer = slow.getresponse()
rest = answer.read().decode()
check("id_slot: the request ran there", json.loads(rest.strip().split("data: ")[-1])["id_slot"] == 1, rest[-300:])
slow.close()
check("id_slot: numbers go round", [completion({"id_slot": i})[2]["id_slot"] for i in (0, 1, 2, 7)] == [0, 1, 0, 1])
statuses, at_work, busy = set(), [], set()
for _ in range(20):  # until each question came while they work
    blockers = [threading.Thread(target=completion, args=({"n_predict": 400, "ignore_eos": True, "id_slot": i},)) for i in (0, 1) for _ in range(8)]
    for b in blockers:
        b.start()
    statuses |= {ask(url, "/slots?fail_on_no_slot=1")[0] for _ in range(20)}
    at_work += [s for _ in range(20) for s in ask(url, "/slots")[2] if s["is_processing"]]
    busy |= {ask(url, "/slots/0?action=erase", raw=b"")[0] for _ in range(20)}
    for b in blockers:
        b.join()
    if 503 in statuses and 503 in busy and any(s["next_token"]["n_decoded"] > 0 for s in at_work): break
check("fail_on_no_slot: 503 while none is free", 503 in statuses and ask(url, "/slots?fail_on_no_slot=1")[0] == 200, statuses)
check("slots: one that works says at what", at_work and all(s["params"]["n_predict"] == 400 and s["params"]["seed"] == 7 and s["id_task"] > 0 and s["next_token"]["has_next_token"] and
      s["next_token"]["n_remain"] + s["next_token"]["n_decoded"] == 400 for s in at_work) and any(s["next_token"]["n_decoded"] > 0 for s in at_work), at_work[:1])
check("a slot at work is not changed: 503", busy <= {200, 503} and 503 in busy, busy)

for what, bad in {"without a name": "", "that is the folder": ".", "that is the folder above": "..", "elsewhere": "../x", "below": "a/b", "by a backslash": "a\\b", "that hides": ".hidden",
                  "with a zero byte": "a\0b", "of two lines": "a\nb", "that saving uses": "x.partial", "with a long name": "a" * 300, "that is a number": 5, "that is null": None}.items():
    refused(f"slots: no file {what}", "/slots/0?action=save", {"filename": bad}, 400, "filename")
check("slots: and none was written", os.listdir(folder) == [], os.listdir(folder))
refused("slots: no action", "/slots/0", {"filename": "a"}, 400, "action")
refused("slots: another action", "/slots/0?action=burn", {"filename": "a"}, 400, "action")
for slot in ("2", "-1", "x", "0x", "99999999999999999999"):
    refused(f"slots: there is no slot {slot}", f"/slots/{slot}?action=save", {"filename": "a"}, 400)
refused("slots: a file that is not there", "/slots/0?action=restore", {"filename": "nothing"}, 404, "the file", "not_found_error")
open(os.path.join(folder, "damaged"), "wb").write(b"GGUF and so on" * 100)
refused("slots: a file of something else", "/slots/0?action=restore", {"filename": "damaged"}, 400)

first = completion({"prompt": "The cat and the dog " * 20, "id_slot": 1, "n_predict": 8})[2]
saved = ask(url, "/slots/1?action=save", {"filename": "one.bin"})[2]
check("slots: saved, with counts and time", saved["id_slot"] == 1 and saved["filename"] == "one.bin" and saved["n_saved"] == first["tokens_cached"] and saved["timings"]["save_ms"] > 0 and
      saved["n_written"] == os.path.getsize(os.path.join(folder, "one.bin")), (saved, first["tokens_cached"]))
erased = ask(url, "/slots/1?action=erase", {})[2]
check("slots: erased", erased == {"id_slot": 1, "n_erased": first["tokens_cached"]}, erased)
check("slots: and nothing is left there", ask(url, "/slots/1?action=erase", {})[2]["n_erased"] == 0)
restored = ask(url, "/slots/0?action=restore", {"filename": "one.bin"})[2]
check("slots: restored", restored["n_restored"] == saved["n_saved"] and restored["n_read"] == saved["n_written"] and restored["timings"]["restore_ms"] > 0, restored)


GAPS = ",".join(f"tokenizer.ggml.fim_{name}_token_id=int:{5 + i}" for i, name in enumerate(("pre", "suf", "mid", "rep", "sep")))


def serve(*more):
    log = open(os.path.join(folder, ".log"), "w+")
    process = subprocess.Popen([program, "serve", model, "--port", "0", "--ctx", "1024", "--parallel", "2", "--chat-template", "chatml", "--slot-save-path", folder, *more], stderr=log)
    return process, until(lambda: re.search(r"^listening on (\S+)", open(log.name).read(), re.M), "the server listens", process)[1]


other, there = serve("--override-kv", GAPS)
try:
    restored = ask(there, "/slots/0?action=restore", {"filename": "one.bin"})[2]
    again = ask(there, "/completion", {"prompt": "The cat and the dog " * 20, "seed": 7, "n_predict": 8})[2]
    check("slots: another server goes on from the file, to the same text", restored["n_restored"] == saved["n_saved"] and again["content"] == first["content"] and
          again["timings"]["prompt_n"] == 1 and again["timings"]["cache_n"] == first["tokens_evaluated"] - 1, again["timings"])
finally:
    other.kill()
    other.wait()
other, there = serve()
try:
    refused_file = ask(there, "/slots/0?action=restore", {"filename": "one.bin"})
    check("slots: a file of another model is refused", refused_file[0] == 400 and "saved with" in refused_file[2]["error"]["message"], refused_file[2])
    check("infill: a model without the tokens says so", ask(there, "/infill", {"input_prefix": "a", "input_suffix": "b"})[::2] ==
          (501, {"error": {"code": 501, "type": "not_supported_error",
                           "message": f"{name} does not support infill: its vocabulary has no tokens for prefix and suffix"}}))
    check("/v1/completions: and a suffix likewise", ask(there, "/v1/completions", {"prompt": "a", "suffix": "b"})[0] == 501)
finally:
    other.kill()
    other.wait()

# killed while it saves: the old file or the new one
old, whole_files = open(os.path.join(folder, "one.bin"), "rb").read(), 0
for attempt in range(6):
    other, there = serve("--override-kv", GAPS)
    try:
        ask(there, "/completion", {"prompt": "A king and a queen " * 24, "seed": 7, "n_predict": 8, "id_slot": 0})

        def save():
            try:
                ask(there, "/slots/0?action=save", {"filename": "one.bin"})
            except OSError:
                pass

        saving = [threading.Thread(target=save) for _ in range(3)]
        for s in saving:
            s.start()
        time.sleep(0.0015 * attempt)
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    for s in saving:
        s.join()
    found = ask(url, "/slots/0?action=restore", {"filename": "one.bin"})
    whole_files += found[0] == 200 and (open(os.path.join(folder, "one.bin"), "rb").read() == old) == (found[2]["n_restored"] == saved["n_saved"])
check("slots: a kill -9 while one is saved leaves the old file or the new one", whole_files == 6, whole_files)

# ---- models
check("models/load: one that is there", ask(url, "/models/load", {"model": name})[::2] == (200, {"success": True}))
check("models/unload", ask(url, "/models/unload", {"model": name})[::2] == (200, {"success": True}))
check("props and slots wake nobody", ask(url, "/props")[2]["is_sleeping"] is True and ask(url, "/slots")[2] == [] and ask(url, "/props")[2]["is_sleeping"] is True)
check("a request does", completion({})[2]["content"] == text)
refused("models/load without a name", "/models/load", {}, 400, "model")
done()
