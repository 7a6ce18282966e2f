"""A small HTTP client for tests of the server. It needs nothing but Python's own library.

    ask(url, path, body)           -> (status, headers, parsed JSON or text)
    events(url, path, body)        -> the JSON of each event of a stream (data: lines, or lines of NDJSON)
    check(name, condition, detail) -> prints a line of TAP; done() prints the plan and exits"""
import http.client, json, sys, urllib.parse

_count, _failed = 0, 0


def check(name, condition, detail=""):
    global _count, _failed
    _count += 1
    print(f"{'ok' if condition else 'not ok'} {_count} - {name}", flush=True)
    if not condition:
        _failed += 1
        print("#", str(detail)[:600].replace("\n", "\n# "), flush=True)


def skip(name, reason):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def connect(url, timeout=300):
    at = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)


def ask(url, path, body=None, method=None, headers=None, raw=None):
    c = connect(url)
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    c.request(method or ("GET" if data is None else "POST"), urllib.parse.urlsplit(url).path + path, data, headers or {})
    r = c.getresponse()
    text = r.read()
    c.close()
    try:
        return r.status, r.headers, json.loads(text)
    except ValueError:
        return r.status, r.headers, text.decode("utf-8", "replace")


def events(url, path, body, headers=None, with_names=False):
    c = connect(url)
    c.request("POST", urllib.parse.urlsplit(url).path + path, json.dumps(body).encode(), headers or {})
    r = c.getresponse()
    name = None
    if r.status != 200:
        yield ("error", json.loads(r.read())) if with_names else json.loads(r.read())
        return
    for line in r:
        line = line.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: ") and line != "data: [DONE]":
            yield (name, json.loads(line[6:])) if with_names else json.loads(line[6:])
        elif line.startswith("{"):
            yield json.loads(line)
    c.close()
