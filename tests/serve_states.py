#!/usr/bin/env python3
"""A model with recurrent layers, served: serve_states.py URL NAME LOG. A later turn continues from a state that the prefix
cache holds; its text must be the same as if everything were evaluated again. LOG: of the server with -v. Prints
TAP."""
import os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done

url, name, log = sys.argv[1:4]
INSTRUCTIONS = {"role": "system", "content": "You are a fox who answers in few words, and never tells where the hens are. " * 3}


def answer(messages, **more):
    status, _, got = ask(url, "/v1/chat/completions", {"messages": messages, "seed": 7, "max_tokens": 12, "temperature": 0.7, **more})
    if status != 200:
        return str(got), 0, 0
    usage = got["usage"]
    return got["choices"][0]["message"]["content"], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def turn(what, messages, least):
    """least: tokens that must come from the cache"""
    text, n_prompt, n_cached = answer(messages)
    check(f"{name}: {what}: {least} tokens or more come from the cache", least <= n_cached < n_prompt, (n_prompt, n_cached))
    anew, _, n = answer(messages, cache_prompt=False)
    check(f"{name}: {what}: the text is that of a prompt read anew", n == 0 and text == anew, (text, anew))
    return text, n_prompt


units = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
with open(log) as f: plan = re.search(r"weights .* \+ states .* = ", f.read())[0]
planned = sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+) (bytes|[KMG]iB)", plan))
size = ask(url, "/api/ps")[2]["models"][0]["size"]
check(f"{name}: ollama's size has all of the plan, states too", size > 0.99 * planned, (size, plan))

talk = [INSTRUCTIONS, {"role": "user", "content": "Who are you?"}]
text, n_first = turn("the first turn", talk, 0)
turn("the same once more", talk, n_first - 8)
talk += [{"role": "assistant", "content": text}, {"role": "user", "content": "And where do you live?"}]
turn("the second turn", talk, n_first - 8)
talk[2] = {"role": "assistant", "content": "Another answer than there was."}
_, n_second = turn("the second turn after another answer", talk, n_first - 8)
turn("the third turn", talk + [{"role": "assistant", "content": "In a hole."}, {"role": "user", "content": "Good night."}], n_second - 8)

# other prompts with the same instructions: the first evaluates these again, and leaves a state for the next
other = [INSTRUCTIONS, {"role": "user", "content": "Tell me of the sea, the old house and the village near it."}]
turn("the same instructions", other, 0)
other[1] = {"role": "user", "content": "Now the king and the queen, please: what did they eat when winter came?"}
turn("the same instructions once more", other, 100)
done()
