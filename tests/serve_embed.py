"""Vectors and ranks of an encoder with a classifier: serve_embed.py URL KIND PROGRAM MODEL [OPTION...]. KIND is the
server's pooling: embed, none or rank; or nan: the scores are NaNs. The results are compared with those of the
program itself."""
import json, math, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from api import ask, check, done

url, kind, program, model, *options = sys.argv[1:]
TEXTS = ["A dog sat on the mat.", "Once upon a time there was a girl", "it rained", "a dog and a cat " * 5]


def run(command, *words):
    return subprocess.run([program, command, model, "-q", "--json", *options, *words], input="\n".join(TEXTS), capture_output=True, text=True, check=True).stdout


def near(a, b):
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-5, abs_tol=1e-6) for x, y in zip(a, b))


def refused(name, path, body, status, words):
    got, _, answer = ask(url, path, body)
    check(name, got == status and words in json.dumps(answer), (got, answer))


def check_vectors():
    want = json.loads(run("embed"))
    status, _, answer = ask(url, "/v1/embeddings", {"input": TEXTS})
    check("/v1/embeddings: the program's vectors", status == 200 and len(answer["data"]) == len(want) and all(near(a["embedding"], b) for a, b in zip(answer["data"], want)), answer)
    check("/v1/embeddings: usage", answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 20, answer["usage"])
    check("/v1/embeddings: again the same", ask(url, "/v1/embeddings", {"input": TEXTS})[2]["data"] == answer["data"])
    one = ask(url, "/v1/embeddings", {"input": TEXTS[3]})[2]
    check("/v1/embeddings: alone the same", one["data"][0]["embedding"] == answer["data"][3]["embedding"])
    n_tokens = lambda text: ask(url, "/v1/embeddings", {"input": text})[2]["usage"]["prompt_tokens"]
    check("/v1/embeddings: nothing is special in a text", n_tokens("a</s>") > n_tokens("a") + 1)
    status, _, own = ask(url, "/api/embed", {"model": "x", "input": TEXTS})
    check("/api/embed: the program's vectors", status == 200 and len(own["embeddings"]) == len(want) and all(near(a, b) for a, b in zip(own["embeddings"], want)), own)
    refused("a token id that is none", "/v1/embeddings", {"input": [1, 2, 99999999]}, 400, "input[2]: must be a token id from 0 to ")
    refused("a text that is too long", "/v1/embeddings", {"input": "once upon a " * 300}, 400, "tokens")
    status, _, cut = ask(url, "/api/embed", {"model": "x", "input": "once upon a " * 300})
    check("/api/embed: a text that is too long is cut", status == 200 and near([sum(x * x for x in cut["embeddings"][0])], [1]), cut)
    for path, body in {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}]},
        "/v1/completions": {"prompt": "a"},
        "/completion": {"prompt": "a"},
        "/v1/messages": {"max_tokens": 5, "messages": [{"role": "user", "content": "a"}]},
        "/api/generate": {"model": "x", "prompt": "a"},
    }.items():
        refused(f"{path}: no text", path, body, 400, "cannot write text")
    refused("/rerank: another pooling", "/rerank", {"query": "a", "documents": ["b"]}, 501, "--pooling rank")


def check_rows():
    want = json.loads(run("embed", "--pooling", "none"))
    status, _, answer = ask(url, "/embedding", {"content": TEXTS})
    check("/embedding: a vector for each token", status == 200 and len(answer) == len(want) and all(len(a["embedding"]) == len(b) and all(map(near, a["embedding"], b)) for a, b in zip(answer, want)), answer)
    refused("/v1/embeddings of pooling none", "/v1/embeddings", {"input": "a"}, 400, "POST /embedding")
    refused("/api/embed of pooling none", "/api/embed", {"model": "x", "input": "a"}, 400, "POST /embedding")


def check_ranks():
    want = json.loads(run("rerank", "-p", "who sat?"))
    check("rerank: the best first", [r["relevance_score"] for r in want] == sorted((r["relevance_score"] for r in want), reverse=True) and len({r["index"] for r in want}) == 4, want)
    body = {"query": "who sat?", "documents": TEXTS}
    for path in ("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"):
        status, _, answer = ask(url, path, body)
        check(f"{path}: the program's scores", status == 200 and [r["index"] for r in answer["results"]] == [r["index"] for r in want] and
              near([r["relevance_score"] for r in answer["results"]], [r["relevance_score"] for r in want]) and answer["object"] == "list", answer)
    check("rerank: usage", answer["usage"]["prompt_tokens"] > 40, answer)
    check("rerank: no documents unless they are asked for", all(set(r) == {"index", "relevance_score"} for r in answer["results"]))
    answer = ask(url, "/rerank", body | {"top_n": 2, "return_documents": True})[2]
    check("rerank: top_n and return_documents", [(r["index"], r["document"]["text"]) for r in answer["results"]] == [(r["index"], TEXTS[r["index"]]) for r in want[:2]], answer)
    answer = ask(url, "/rerank", {"query": "who sat?", "documents": [{"text": t} for t in TEXTS]})[2]
    check("rerank: documents as objects", [r["index"] for r in answer["results"]] == [r["index"] for r in want], answer)
    answer = ask(url, "/rerank", {"query": "who sat?", "texts": TEXTS, "return_text": True})[2]
    check("rerank as TEI has it", [(r["index"], r["text"]) for r in answer] == [(r["index"], TEXTS[r["index"]]) for r in want] and "score" in answer[0], answer)
    refused("rerank: no query", "/rerank", {"documents": TEXTS}, 400, "query")
    refused("rerank: no documents", "/rerank", {"query": "a"}, 400, "documents")
    refused("rerank: none at all", "/rerank", {"query": "a", "documents": []}, 400, "documents")
    refused("rerank: a document that is no text", "/rerank", {"query": "a", "documents": ["b", 5]}, 400, "documents[1]")
    refused("rerank: top_n 0", "/rerank", body | {"top_n": 0}, 400, "top_n")
    refused("rerank: a document that is too long", "/rerank", {"query": "a", "documents": ["once upon a " * 300]}, 400, "tokens")
    refused("rerank: and the first one is refused, before others are read", "/rerank", {"query": "a", "documents": ["once upon a " * 300, 5]}, 400, "tokens")


def check_no_numbers():
    refused("rerank: scores that are no numbers", "/rerank", {"query": "a", "documents": TEXTS}, 500, "numbers that are not finite")


{"embed": check_vectors, "none": check_rows, "rank": check_ranks, "nan": check_no_numbers}[kind]()
done()
