#!/usr/bin/env python3
"""/api/pull of a server without models, against tests/hub_server.py: serve_ollama_pull.py URL. Prints TAP."""
import json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, connect, done, events, skip

url = sys.argv[1]
check("no model yet", ask(url, "/api/tags")[2] == {"models": []})
status, _, failure = ask(url, "/api/chat", {"model": "x", "messages": []})
check("a chat with none is 404", status == 404 and failure == {"error": "model 'x' not found"}, failure)

lines = list(events(url, "/api/pull", {"model": "hf.co/test/plain:latest"}))
if "was built without" in lines[-1].get("error", ""):
    skip("pull", lines[-1]["error"])
    done()
check("pull: it ends with success", lines[0] == {"status": "pulling manifest"} and lines[-1] == {"status": "success"}, lines)
file = [l for l in lines if "completed" in l]
check("pull: progress, up to the whole file", file and all(l["status"].startswith("pulling demo-Q4_K_M.gguf") and l["digest"].startswith("sha256:") and l["completed"] <= l["total"] for l in file) and
      file[-1]["completed"] == file[-1]["total"] and [l["completed"] for l in file] == sorted(l["completed"] for l in file), lines)
models = ask(url, "/api/tags")[2]["models"]
check("pull: then it is served", [m["name"] for m in models] == ["test/plain:Q4_K_M"], models)
for name in ("hf:test/plain:Q4_K_M", "hf.co/test/plain:Q4_K_M", "test/plain:q4_k_m", "anything"):
    answer = ask(url, "/api/generate", {"model": name, "prompt": "Once", "stream": False, "raw": True, "options": {"num_predict": 3}})[2]
    check(f"pull: as {name}", answer.get("model") == "test/plain:Q4_K_M" and answer["response"], answer)
status, _, failure = ask(url, "/api/generate", {"prompt": "Once", "suffix": "the end"})
check("a model without the tokens fills no gaps", status == 400 and "does not support insert" in failure["error"], failure)
check("pull: again, at once", ask(url, "/api/pull", {"name": "test/plain", "stream": False})[2] == {"status": "success"})
check("pull: there is one of it", len(ask(url, "/api/tags")[2]["models"]) == 1)

for repo, words in [("s404", "404"), ("wrong", "SHA-256"), ("none", "no GGUF")]:
    last = list(events(url, "/api/pull", {"model": f"hf.co/test/{repo}"}))[-1]
    check(f"pull: a fault is the last line ({repo})", list(last) == ["error"] and words in last["error"], last)
status, _, failure = ask(url, "/api/pull", {"model": "hf.co/test/s404", "stream": False})
check("pull: without a stream a fault has its status", status == 500 and "404" in failure["error"], failure)
status, _, failure = ask(url, "/api/pull", {"stream": False})
check("pull: of nothing", status == 400 and "model" in failure["error"], failure)

c = connect(url)
c.request("POST", "/api/pull", json.dumps({"model": "hf.co/test/trickles"}))
r = c.getresponse()
while json.loads(r.readline()).get("completed", 0) == 0:
    pass
r.close()
c.close()
# This asks for the rest, which the server sends without pauses.
lines = list(events(url, "/api/pull", {"model": "hf.co/test/trickles"}))
first = next((l["completed"] for l in lines if "completed" in l), 0)
check("pull: a client went away: another goes on after what had arrived", lines[-1] == {"status": "success"} and first > 0, lines[:3])
check("pull: now there are two, of which one is no model", len(ask(url, "/v1/models")[2]["data"]) == 2 and len(ask(url, "/api/tags")[2]["models"]) == 1)
for name in ("test/plain", "hf.co/test/plain:latest"):
    answer = ask(url, "/api/generate", {"model": name, "stream": False})[2]
    check(f"of several a name without a tag means one of any tag ({name})", answer.get("model") == "test/plain:Q4_K_M", answer)
status, _, failure = ask(url, "/api/chat", {"model": "anything", "messages": []})
check("of several each is asked for by its name", status == 404 and failure["error"] == "model 'anything' not found", failure)
done()
