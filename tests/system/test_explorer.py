"""The explorer page: whole without a network, under a policy that lets in nothing from elsewhere."""

import hashlib
import re
import shutil
import subprocess
from urllib.parse import urljoin

import pytest

from served import Served
from support import ROOT

PACKAGE = ROOT / ".deps/swagger-ui-5.35.0/files"


@pytest.fixture
def server(kol, data):
    """A server without data: the page does not need any."""
    data.mkdir()
    return Served(kol)


def test_the_page_and_its_parts_come_from_this_server(server):
    page = server.ask("/docs")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    parts = re.findall(r'(?:href|src)="(docs/[^"]+)"', text)
    assert len(parts) == 3
    kinds = {".css": "text/css", ".js": "text/javascript"}
    for part in parts:
        answer = server.ask(urljoin("/docs", part))
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kinds[part[part.rindex(".") :]])
        own = PACKAGE / part.removeprefix("docs/")
        if own.exists():
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(own.read_bytes()).digest()
        else:
            assert b"openapi.json" in answer.body and b"http" not in answer.body
    assert "://" not in text, "an address of somebody else's is in the page"
    assert server.ask("/docs/nobody.js").status == 404
    assert server.ask("/docs/..%2fstart.js").status == 404


def test_the_policy_lets_in_nothing_from_elsewhere(server):
    policy = server.ask("/docs").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


@pytest.mark.long
def test_a_browser_draws_every_route_and_finds_nothing_refused(server, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("no chromium: apt-get install -y chromium")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user",
         "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom",
         urljoin(server.urls["api"], "/docs")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Refused" not in done.stderr and "Content Security Policy" not in done.stderr
    paths = server.ask("/openapi.json").json()["paths"]
    drawn = set(re.findall(r'data-path="([^"]*)"', done.stdout))
    assert drawn == set(paths), "a route is not on the page"
