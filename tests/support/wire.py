"""HTTP byte by byte, for tests of the server that send what no client should send.

    Wire(url)              a connection: send, end (no more is sent), answer -> (status, headers, body), or None if it
                           was closed without one
    post(path, body)       the bytes of a request
    metric(url, name)      a value of /metrics
    becomes_idle(url)      waits until /metrics says that nothing runs, waits or holds a page"""
import re, socket, struct, time, urllib.parse

from api import ask

LIMIT = 300  # after so many seconds without a byte, it hangs


class Wire:
    def __init__(self, url, small=False):
        at = urllib.parse.urlsplit(url)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if small: self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(LIMIT)
        self.socket.connect((at.hostname, at.port))
        self.buffer = b""
        self.closed = False

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def end(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def more(self):
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        self.closed = not data
        return data

    def until(self, mark):
        while mark not in self.buffer and not self.closed: self.more()
        found, self.buffer = self.buffer.split(mark, 1) if mark in self.buffer else (None, self.buffer)
        return found

    def exactly(self, n):
        while len(self.buffer) < n and not self.closed: self.more()
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        return found if len(found) == n else None

    def answer(self):
        """(status, headers, body), or None if the connection was closed before the answer was complete."""
        while True:
            head = self.until(b"\r\n\r\n")
            if head is None: return None
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            if status != 100: break
        body = b""
        if status in (204, 304): return status, headers, body
        if headers.get("transfer-encoding") == "chunked":
            while True:
                size = self.until(b"\r\n")
                if size is None: return None
                piece = self.exactly(int(size, 16) + 2)
                if piece is None: return None
                if int(size, 16) == 0: return status, headers, body
                body += piece[:-2]
        if "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
            return None if body is None else (status, headers, body)
        while not self.closed: self.more()
        return status, headers, self.buffer

    def close(self, hard=False):
        if hard: self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def post(path, body, headers=b""):
    return b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + str(len(body)).encode() + b"\r\n" + headers + b"\r\n" + body


def metrics(url, *names):
    said = ask(url, "/metrics")[2]
    found = [re.search(rf"^llamacpp:{name} (\S+)$", said, re.M) for name in names]
    return [float(f[1]) if f else 0 for f in found]  # 0: the model sleeps


def metric(url, name):
    return metrics(url, name)[0]


def becomes_idle(url):
    """A generous limit: the test is whether it becomes true, not when."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if not any(metrics(url, "requests_processing", "requests_deferred", "pages_held")): return True
        time.sleep(0.1)
    return False
