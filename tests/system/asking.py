"""Asking a running server often and cheaply: connections that stay, crowds, and a steady rate."""

import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import quote

from served import Reply


class Asker:
    """One connection that is kept; a tenth of the cost of http.client."""

    def __init__(self, served, timeout=30):
        self.sock = None
        self.host, port = served.address.rsplit(":", 1)
        self.address = self.host, int(port)
        self.timeout, self.held = timeout, b""

    def get(self, path):
        """One answer. OSError: the connection was lost, or nothing came in time."""
        if " " in path or not path.isascii():
            path = quote(path, safe="/:%?=&")
        if not self.sock:
            self.sock, self.held = socket.create_connection(self.address, timeout=self.timeout), b""
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
            return self.read()
        except OSError:
            self.close()
            raise

    def read(self):
        while (end := self.held.find(b"\r\n\r\n")) < 0:
            self.more()
        lines = self.held[:end].decode("latin-1").split("\r\n")
        reply = Reply(int(lines[0].split()[1]), [line.split(": ", 1) for line in lines[1:]], b"")
        end += 4 + int(reply.headers["content-length"])
        while len(self.held) < end:
            self.more()
        reply.body = self.held[end - int(reply.headers["content-length"]) : end]
        self.held = self.held[end:]
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionResetError("the server closed the connection")
        self.held += piece

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None

    def __del__(self):  # also where a test failed before it was done with it
        self.close()


def from_l1(reply):
    """Whether the answer lay ready in the process, fresh or stale."""
    return reply.headers.get("cache-status", "").startswith("kol-l1; hit")


@dataclass
class Took:
    """One request of a steady load."""

    at: float  # monotonic seconds
    seconds: float
    status: int  # 0: none came
    hit: bool  # of the cache in the process
    path: str
    said: str  # Cache-Status, or why there was no answer


class Steady:
    """So many requests a second from `clients` connections until stop(); rows: what came of each.

    Each client asks by a clock of its own and never catches up, so that a server that is slow for a
    moment is not flooded behind it. `paths`: what each client asks for in turn, from different
    beginnings.
    """

    def __init__(self, served, paths, rate=200, clients=8):
        self.rows, self.ending = [], threading.Event()
        self.threads = [
            threading.Thread(target=self.client, args=(Asker(served), paths, number, rate / clients, clients))
            for number in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def client(self, asker, paths, number, rate, clients):
        turn = number * len(paths) // clients
        due = time.monotonic() + number / (rate * clients)
        while not self.ending.wait(max(0.0, due - time.monotonic())):
            path = paths[turn % len(paths)]
            turn += 1
            began = time.monotonic()
            try:
                reply = asker.get(path)
                row = reply.status, from_l1(reply), path, reply.headers.get("cache-status", "")
            except OSError as problem:
                row = 0, False, path, repr(problem)
            ended = time.monotonic()
            self.rows.append(Took(began, ended - began, *row))
            due = max(due + 1 / rate, ended)
        asker.close()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        return self.rows


def share(values, part=0.99):
    """The value that so many of them do not exceed; 0 of none."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0
