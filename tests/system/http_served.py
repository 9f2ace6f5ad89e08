"""Drives http_served, the made-up API on the HTTP server, over plain sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from support import SANITIZER_STATUS, environment, program, wait_until


class Answer:
    """One parsed answer: status, headers (lower-case names), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of a problem, after a look at its form."""
        problem = self.json()
        assert self.headers["content-type"] == "application/problem+json", self
        assert problem["status"] == self.status
        assert problem["instance"] == self.headers["x-request-id"]
        assert problem["what_to_do"] and problem["title"] and problem["detail"]
        return problem["code"]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def read_answer(stream, head=False):
    """Reads one answer from a binary file of a socket; None at its end."""
    line = stream.readline()
    if not line:
        return None
    status = int(line.split()[1])
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, value = line.decode("latin-1").split(":", 1)
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value.strip()
    if status == 100:
        return read_answer(stream, head)
    if head or status in (204, 304):
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = read_chunks(stream)
    else:
        body = stream.read(int(headers["content-length"]))
    return Answer(status, headers, body)


def read_chunks(stream):
    body = b""
    while True:
        size = int(stream.readline(), 16)
        chunk = stream.read(size)
        stream.readline()
        if not size:
            return body
        body += chunk


class Served:
    """A running http_served; the test closes it by its fixture."""

    def __init__(self, *options, extra_env=None):
        path = os.environ.get("KOL_HTTP_SERVED")
        path = Path(path) if path else program().parents[1] / "tests/tools/http_served"
        assert path.is_file(), f"{path} is not built: build the target tests/tools/http_served"
        self.process = subprocess.Popen(
            [path, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(extra_env),
        )
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        ports = json.loads(line)
        self.port, self.operations_port = ports["port"], ports["operations_port"]

    def connect(self, port=None, timeout=30):
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=timeout)

    def raw(self, data, timeout=30):
        """Sends bytes on a fresh connection, closes that side, gives all that comes until its end."""
        with self.connect(timeout=timeout) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was closed before all was sent; what it said first is still there
            return read_all(sock)

    def ask(self, path, method="GET", body=None, headers=None, port=None):
        """One request on a fresh connection."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        headers = dict(headers or {})
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        if body is not None and "Transfer-Encoding" not in headers:
            headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        with connection.sock.makefile("rb") as stream:
            answer = read_answer(stream, head=method == "HEAD")
        connection.close()
        return answer

    def stats(self):
        return self.ask("/stats", port=self.operations_port).json()

    def wait_stats(self, condition, what, timeout=30):
        return wait_until(lambda: condition(self.stats()), what, timeout)

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)
        return json.loads(self.process.stdout.readline())["reloaded"]

    def stop(self, timeout=60):
        """SIGTERM; its counts. Fails if a sanitizer spoke."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=timeout)
        self.log = err.decode(errors="replace")
        assert self.process.returncode == 0, (self.process.returncode, self.log[-5000:])
        assert self.process.returncode != SANITIZER_STATUS
        return json.loads(out.splitlines()[-1])

    def close(self):
        """Stops it if the test has not; a sanitizer's complaint fails here at the latest."""
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()


def read_all(sock):
    got = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return got
        if not piece:
            return got
        got += piece


def starting():
    """What a fixture yields: starts servers, serve("deadline_us=100000"), which end with the test."""
    started = []

    def start(*options):
        started.append(Served(*options))
        return started[-1]

    yield start
    for server in started:
        server.close()
