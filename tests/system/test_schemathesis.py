"""Schemathesis, a foreign client that knows only /openapi.json, against a server with real data.

It makes requests out of the document, good ones and bad ones, chains of them too, and holds the
answers to the document: no 5xx, no status, type, header or body that is not documented, good
requests taken, bad ones refused.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from served import Served
from support import Kol, wait_until

TOOL = Path(sys.executable).parent / "schemathesis"
# Requests that fit the document and are refused all the same, because no schema can say why: a
# cursor is none that a page gave, a member or feature that the data or the model lacks, a label of
# another metric, a choice of one among several, too short a history, NUL in a name.
MORE_THAN_A_SCHEMA_SAYS = {
    "list_kols": 422,
    "export_kols": 422,
    "get_kol_content": 422,
    "trending_kols": 422,
    "forecast_kol": 422,
    "admin_purge": 422,
    "predict_trust_features": (400, 422),
}
# A good request of many long members may be too long an address, and so may a bad one.
TAKEN = ["2xx", "3xx", 401, 403, 404, 409, 414, 429]
REFUSED = [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429]


def config_of(server):
    """The tool's configuration: ids that are there, so that not all answers are 404."""
    rng = random.Random(11)
    rows = []
    for platform in ("tiktok", "youtube", "twitter"):
        query = {"platform": platform, "limit": 100, "fields": "tier"}
        rows += server.get("/api/v1/kols", **query)["data"]
    rng.shuffle(rows)
    ids = [row["kol_id"] for row in rows[:80]]
    contents = [
        row["content_id"]
        for platform in ("tiktok", "youtube")
        for row in server.get(f"/api/v1/trending/{platform}", limit=40)["data"]
    ]
    days = [row["as_of"][:10] for row in server.get("/api/v1/trending/all", limit=100)["data"]]
    known = {"kol_id": ids, "content_id": contents, "date": sorted({*days, "2022-01-09"})}
    lines = [
        f"checks.positive_data_acceptance.expected-statuses = {json.dumps(TAKEN)}",
        f"checks.negative_data_rejection.expected-statuses = {json.dumps(REFUSED)}",
    ]
    for name, values in known.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values, ensure_ascii=False)}"]
    lines.append("[parameters]")
    lines += [f'"path.{name}" = {{dictionary = "{name}", probability = 0.6}}' for name in known]
    for name, statuses in MORE_THAN_A_SCHEMA_SAYS.items():
        taken = TAKEN + list(statuses if isinstance(statuses, tuple) else (statuses,))
        lines += ["[[operations]]", f'include-operation-id = "{name}"']
        lines.append(f"checks.positive_data_acceptance.expected-statuses = {json.dumps(taken)}")
    return "\n".join(lines) + "\n"


def run_tool(server, folder, *options):
    """Runs it to its end; returns its report."""
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(config_of(server), encoding="utf-8")
    command = [TOOL, "--config-file", config, "--no-color", "run", server.urls["openapi"]]
    command += ["--checks", "all", "--continue-on-failure", "--request-timeout", "60"]
    command += ["--suppress-health-check", "all", "--warnings", "off"]
    command += ["--report", "json", "--report-json-path", report, *options]
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    with open(folder / "said", "wb") as said:
        done = subprocess.run(
            list(map(str, command)),
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | hooks,
            check=False,
        )
    words = (folder / "said").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, words[-20000:]
    result = json.loads(report.read_text(encoding="utf-8"))
    assert result["complete"] and not result["failures"] and not result["errors"], words
    assert result["operations"]["tested"] == result["operations"]["total"] >= 43
    return result


@pytest.fixture
def serve_real(kol_bin, tmp_path):
    """Starts a server over a copy of a data folder that may be written into."""
    kols = []

    def start(folder, *options, env=None):
        data = tmp_path / "data"
        shutil.copytree(folder, data)
        kols.append(Kol(kol_bin, data))
        kols[-1]("maintain", "--relocate")
        return Served(kols[-1], "--serve-deadline", "60s", *options, env=env)

    yield start
    for kol in kols:
        kol.close()


def check_counted(server, result, least):
    """So many cases reached the server, and it counted no 5xx of its own."""
    assert result["test_cases"]["generated"] >= least
    text = server.ask("/metrics").body.decode()
    seen = [line for line in text.splitlines() if line.startswith("kol_http_requests_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in seen) >= least
    assert not [line for line in seen if 'status="5' in line]
    return {line.split('route="')[1].split('"')[0] for line in seen if 'status="2' in line}


def test_answers_are_what_the_document_says(serve_real, real_part, tmp_path):
    server = serve_real(real_part)
    result = run_tool(
        server, tmp_path, "--phases", "examples,fuzzing,stateful", "--max-examples", "6"
    )
    answered = check_counted(server, result, 250)
    assert len(answered) >= 35  # the others need luck to be asked for what is there


def test_with_keys_every_path_is_closed_as_the_document_says(serve_real, real_part, tmp_path):
    """Without a key, or with a wrong one, nothing that the document closes is open."""
    server = serve_real(real_part, env={"API_KEYS": "0123456789abcdef"})
    config = tmp_path / "schemathesis.toml"
    config.write_text("", encoding="utf-8")
    command = [TOOL, "--config-file", config, "--no-color", "run", server.urls["openapi"]]
    command += ["--checks", "ignored_auth,status_code_conformance,response_schema_conformance"]
    command += ["--header", "X-API-Key: 0123456789abcdef", "--phases", "examples,fuzzing"]
    command += ["--max-examples", "2", "--warnings", "off", "--continue-on-failure"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout[-20000:]
    refused = [
        line
        for line in server.ask("/metrics").body.decode().splitlines()
        if line.startswith("kol_http_requests_total{") and 'status="401"' in line
    ]
    assert len(refused) >= 20  # the tool leaves a key out where a good request was answered


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_cases_on_all_real_data(serve_real, real_whole, tmp_path):
    server = serve_real(real_whole)
    result = run_tool(server, tmp_path, "--max-examples", "260")
    answered = check_counted(server, result, 10_000)
    assert len(answered) >= 41


class Swapper:
    """Puts another online copy in place every two seconds, every fifth by `kol etl`."""

    def __init__(self, kol):
        self.kol, self.count, self.failure = kol, 0, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._go_on)

    def _go_on(self):
        try:
            due = time.monotonic()
            while not self.ended.wait(max(0, due - time.monotonic())):
                due += 2
                self._one()
        except AssertionError as failure:
            self.failure = failure

    def _one(self):
        self.count += 1
        if self.count % 5:
            self.kol("online", "build", "--force", timeout=600)
            return
        event = {
            "event_type": "profile",
            "event_time": "2026-01-01T00:00:00Z",
            "platform": "tiktok",
            "username": f"new.{self.count}",
            "followers_count": self.count,
        }
        self.kol("import", "events", "-", stdin=json.dumps(event))
        self.kol("ingest", timeout=600)
        self.kol("etl", timeout=600)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        if self.failure:
            raise self.failure


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_cases_while_the_copy_is_swapped_all_the_time(serve_real, real_part, tmp_path):
    server = serve_real(real_part)
    first = server.metric("kol_copy_number")
    with Swapper(server.kol) as swapper:
        result = run_tool(server, tmp_path, "--max-examples", "260")
    check_counted(server, result, 10_000)
    assert swapper.count >= 10
    wait_until(lambda: server.metric("kol_copy_number") >= first + swapper.count, "the last copy")
