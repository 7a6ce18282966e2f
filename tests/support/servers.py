"""Starts and ends servers, for tests that need one or several of their own.

    with Server(PROGRAM, MODEL, OPTION...) as s   -> s.url, s.log(), s.signal(), s.wait(); always killed at the end
    until(condition, what)                        -> waits long for a condition; fails with `what` if it never comes
    free_port()"""
import os, random, re, signal, socket, subprocess, tempfile, time

PATIENCE = 300  # seconds: enough for a busy machine, or for a program that runs under a tool


def until(condition, what, process=None):
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if process and process.poll() is not None:
            value = condition()
            if value:
                return value
            raise RuntimeError(f"the process ended before: {what}")
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def free_port():
    """Below the ports that the system hands out by itself, so that it is still free a moment later."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Server:
    def __init__(self, program, model, *options, environment=None, waits=True, port=0):
        self.file = tempfile.NamedTemporaryFile("w+", prefix="serve-log-")
        command = [program, "serve", model, "--port", str(port), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file, env={**os.environ, **(environment or {})})
        self.url = f"http://127.0.0.1:{port}"
        if waits:
            self.await_ready()

    def await_ready(self):
        try:
            self.url = until(lambda: re.search(r"\blistening on ([^\s\"]+)", self.log()), "the server listens", self.process)[1]
        except Exception:
            self.kill()
            raise RuntimeError("the server did not start: " + self.log())

    def log(self):
        with open(self.file.name, errors="replace") as f:
            return f.read()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        """The status as a shell shows it."""
        code = self.process.wait(timeout=PATIENCE)
        return 128 - code if code < 0 else code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.file.close()
