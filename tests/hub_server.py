#!/usr/bin/env python3
"""Plays the Hugging Face Hub and the server that it redirects to, with one fault in each repository:
tests/hub_server.py MODEL LOG.

Prints "HUB_PORT CDN_PORT" and serves until it is killed. The Hub is 127.0.0.1:HUB_PORT, the other server
localhost:CDN_PORT. Each request is a line of LOG: who, method, path, range, and "LEAK" if the other server gets a
token.
"""
import hashlib
import json
import random
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = open(sys.argv[1], "rb").read()
LOG = open(sys.argv[2], "a", buffering=1)
SIZE = 1_500_000
version = {"moves": 0}  # for repositories that get new commits
go_on = {"trickles": False}  # may the rest be sent?
counts = {}  # how often each thing was requested
lock = threading.Lock()


def count(key):
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key]


def blob(seed, size=SIZE):
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def commit_of(repo):
    return hashlib.sha1(f"{repo} {version.get(repo, 0)}".encode()).hexdigest()


def files_of(repo):
    """What a repository holds: path -> (bytes, is it LFS?)"""
    files = {"README.md": (b"# read me\n" + str(version.get(repo, 0)).encode(), False)}
    if repo == "plain":
        for tag in ("Q4_K_M", "Q4_K", "IQ4_XS"):
            files[f"demo-{tag}.gguf"] = (MODEL if tag == "Q4_K_M" else blob(tag), True)
        files["sub/UD/demo-UD-Q8_K_XL.gguf"] = (blob("sub"), True)
        for name in ("mmproj-demo-Q4_K_M.gguf", "demo-Q4_K_M.imatrix.gguf", "demo-MTP-Q4_K_M.gguf"):
            files[name] = (blob(name, 1000), True)
    elif repo in ("shards", "lacks"):
        for i in range(1, 4):
            if repo == "shards" or i != 2:
                files[f"Q4_K_M/big-Q4_K_M-{i:05}-of-00003.gguf"] = (blob(i, 300_000), True)
    elif repo == "one":
        files["model.gguf"] = (blob(repo), True)
    elif repo == "nolfs":
        files["small-q4_k_m.gguf"] = (blob(repo, 100_000), False)
    elif repo == "none":
        pass
    elif repo == "many":
        for name in ("a-Q5_K_M.gguf", "b-Q5_K_M.gguf", "b-Q6_K.gguf"):
            files[name] = (blob(name, 1000), True)
    elif repo == "evil1":
        files["../../../evil-Q4_K_M.gguf"] = (blob(repo), True)
    elif repo == "evil2":
        files["/tmp/evil-Q4_K_M.gguf"] = (blob(repo), True)
    elif repo == "evil3":
        files["e\x1b[31m\nvil-Q4_K_M.gguf"] = (blob(repo), True)
    elif repo == "evil4":
        files["a/../../../evil-Q4_K_M.gguf"] = (blob(repo), True)
    elif repo == "moves":  # a new README, then a new file too
        files["m-Q4_K_M.gguf"] = (blob(f"moves {max(version[repo] - 1, 0)}"), True)
    else:
        files[f"{repo}-Q4_K_M.gguf"] = (blob(repo, 4 * SIZE if repo in ("slow", "trickles") else SIZE), True)
    return files


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    who = "?"

    def log_message(self, *arguments):
        pass

    def note(self):
        leak = " LEAK" if self.who == "CDN" and self.headers.get("Authorization") else ""
        LOG.write(f"{self.who} {self.command} {self.path} {self.headers.get('Range', '-')}{leak}\n")

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.note()
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Hub(Handler):
    who = "HUB"

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        parts = urllib.parse.unquote(url.path).strip("/").split("/")
        query = urllib.parse.parse_qs(url.query)
        if parts[0] == "control":
            if parts[1] in version:
                version[parts[1]] += 1
            else:
                go_on[parts[1]] = True
            return self.answer(200)
        if parts[0] == "files":
            return serve_bytes(self, "plain", blob("url"), [("ETag", '"url-1"')])
        repo = parts[3] if parts[0] == "api" else parts[1]
        if repo == "renamed":
            return self.answer(307, headers=[("Location", self.path.replace("/renamed/", "/plain/"))])
        if repo == "s429":
            return self.answer(429, b"slow down", [("Retry-After", "77")])
        if repo[0] == "s" and repo[1:].isdigit():
            return self.answer(int(repo[1:]), b"no")
        if repo == "twice" and count("twice") <= 2:
            return self.answer(503, b"busy")
        if repo == "gated" and self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, b"no")
        if parts[0] == "api":
            return self.tree(repo, query)
        self.resolve(repo, parts[3], "/".join(parts[4:]) if len(parts) > 4 else "")

    def tree(self, repo, query):
        if repo == "garbage":
            return self.answer(200, b"<html>")
        entries = [{"type": "directory", "path": "sub", "size": 0}]
        for path, (data, lfs) in files_of(repo).items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            if lfs:
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        at, headers = int(query.get("cursor", ["0"])[0]), []
        if at + 2 < len(entries):
            link = f"http://127.0.0.1:{self.server.server_port}{self.path.split('?')[0]}?recursive=true&cursor={at + 2}"
            headers = [("Link", f'<{link}>; rel="next"')]
        self.answer(200, json.dumps(entries[at:at + 2]).encode(), headers)

    def resolve(self, repo, revision, path):
        files = files_of(repo)
        if revision not in ("main", commit_of(repo)) or path not in files:
            return self.answer(404, b"no")
        data, lfs = files[path]
        headers = [("X-Repo-Commit", commit_of(repo)), ("ETag", '"of-the-hub"')]
        if not lfs:
            return serve_bytes(self, repo, data, headers)
        signed = urllib.parse.quote(f"/{repo}/{path}") + f"?signature={count('signature')}"
        headers += [("X-Linked-Size", str(1 << 50 if repo == "huge" else len(data))), ("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"'),
                    ("Location", f"http://localhost:{cdn.server_port}{signed}")]
        self.answer(302, b"", headers)


def serve_bytes(self, repo, data, headers):
    """Send a file, or the part that was asked for; the repository says with which fault."""
    if repo == "wrong":
        data = data[:-1] + bytes([data[-1] ^ 1])
    begin, asked = 0, self.headers.get("Range", "")
    if asked.startswith("bytes=") and repo != "ignores":
        begin = int(asked[6:].split("-")[0])
        if begin >= len(data):
            return self.answer(416, headers=[("Content-Range", f"bytes */{len(data)}")])
    if repo == "short":
        data = data[:1000]
    if repo == "shifts" and begin:
        begin -= 7
    body, headers = data[begin:], list(headers)
    if asked and repo != "ignores":
        headers.append(("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}"))
    if repo == "long":
        body += b"more"
    sent = len(body)
    if repo in ("drops", "expires") or (repo in ("ignores", "shifts") and count(repo) < 3):
        sent = random.randint(0, len(body)) if len(body) > 100_000 else len(body)
    elif repo == "never":
        sent = 0
    elif repo == "stalls" and count("stalls") == 1:
        sent = len(body) // 2
    self.send_response(206 if asked and repo != "ignores" else 200)
    for name, value in headers:
        self.send_header(name, value)
    self.send_header("Content-Length", str(len(body)))
    self.end_headers()
    if self.command == "HEAD":
        return
    trickled = 0
    if repo == "trickles" and not begin:  # a half, then a byte now and then, until the test asks for the rest
        trickled = len(body) // 2
        self.wfile.write(body[:trickled])
        while not go_on["trickles"]:
            self.wfile.write(body[trickled:trickled + 1])
            trickled += 1
            time.sleep(0.02)
    for at in range(trickled, sent, 1 << 16):
        self.wfile.write(body[at:min(at + (1 << 16), sent)])
        if repo == "slow":
            self.wfile.flush()
            time.sleep(0.005)
    if sent < len(body):
        self.wfile.flush()
        if repo == "stalls":
            time.sleep(6)
        self.drop()


class Cdn(Handler):
    who = "CDN"

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        parts = urllib.parse.unquote(url.path).strip("/").split("/", 1)
        if self.headers.get("Authorization"):
            return self.answer(400, b"a token has come here")
        if parts[0] == "direct":
            return serve_bytes(self, "plain", blob("url"), [("ETag", '"url-1"')])
        if parts[0] == "untagged":
            return serve_bytes(self, "plain", blob("url"), [])
        if parts[0] == "page":
            return self.answer(200, b"<!doctype html><title>Log in</title>", [("ETag", '"page"')])
        if parts[0] in ("nothing", "two"):
            return self.answer(200, b"" if parts[0] == "nothing" else b"GG", [("ETag", '"short"')])
        if parts[0] == "moved":
            return self.answer(302, headers=[("Location", f"http://127.0.0.1:{hub.server_port}/files/x.gguf")])
        if parts[0] == "busy" and count("busy") <= 2:
            return self.answer(500, b"busy")
        if parts[0] == "expires" and count(self.path) > 1:
            return self.answer(403, b"expired")
        path = urllib.parse.unquote(url.path)[len(parts[0]) + 2:]
        serve_bytes(self, parts[0], files_of(parts[0])[path][0], [("ETag", '"of-the-cdn"')])


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # of a connection that is gone
            super().handle_error(request, client_address)


hub = Server(("127.0.0.1", 0), Hub)
cdn = Server(("127.0.0.1", 0), Cdn)
print(hub.server_port, cdn.server_port, flush=True)
threading.Thread(target=cdn.serve_forever, daemon=True).start()
hub.serve_forever()
