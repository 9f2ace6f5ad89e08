"""A running `kol serve` over demo data, and asking it over plain HTTP."""

import fcntl
import http.client
import json
import shutil
import time
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from support import Kol, wait_until

DEMO_KOLS, DEMO_DAYS = 400, 12


class Reply:
    """An answer: status, headers (names in lower case), body as bytes."""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:1000]!r}"


def path_of(path, **query):
    """A path with parameters, each percent-encoded; None ones are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return quote(path, safe="/:%") + ("?" + urlencode(given) if given else "")


class Served:
    """A server that was started by `kol serve --serve-port 0` (or `kol run`) on a data folder."""

    def __init__(self, kol, *options, env=None, command="serve", stderr=None):
        """stderr: a file for its log; the test's own unless it is given."""
        self.kol = kol
        self.running = kol.start(
            command, "--serve-port", 0, "--format", "json", *options, env=env, stderr=stderr
        )
        self.urls = {}
        for _ in range(5):
            line = self.running.process.stdout.readline()
            assert line, "kol serve ended before it said where it listens"
            row = json.loads(line)
            self.urls[row["what"]] = row["url"]
        self.address = urlsplit(self.urls["api"]).netloc

    def ask(self, path, method="GET", body=None, headers=None, timeout=30, **query):
        """One request on a connection of its own. body: bytes, or what is to be sent as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        try:
            connection.request(method, path_of(path, **query), body, headers)
            reply = connection.getresponse()
            return Reply(reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()

    def get(self, path, status=200, **query):
        """The JSON of an answer, which must have this status."""
        reply = self.ask(path, **query)
        assert reply.status == status, reply
        return reply.json()

    def metric(self, name):
        """The value of one line of /metrics: name with its labels."""
        for line in self.ask("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def wait_ready(self):
        wait_until(lambda: self.ask("/readyz").status == 200, "the server to be ready")

    def stop(self, number=15, timeout=30):
        """Ends it by a signal; its exit status and the seconds that it took."""
        began = time.monotonic()
        self.running.signal(number)
        self.running.process.stdout.read()
        return self.running.process.wait(timeout=timeout), time.monotonic() - began


def make_demo(binary, folder, kols=DEMO_KOLS, days=DEMO_DAYS):
    """Fills a data folder up to the online copy."""
    kol = Kol(binary, folder)
    kol("demo", "--kols", kols, "--days", days)
    kol("ingest")
    kol("etl")


def shared_demo(binary, base):
    """The folder of demo data that all workers of a run share; whoever comes first makes it."""
    folder, done = Path(base) / "demo-data", Path(base) / "demo-done"
    with open(Path(base) / "demo-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_demo(binary, folder)
            done.touch()
    return folder
