"""`kol run`: beside events, what else makes the served answers new, and the upkeep of the tables."""

import json
import shutil

import pytest

from served import Served, make_demo
from support import ROOT, Kol, wait_until
from test_maintain import small_files

MODEL = ROOT / "models/trust/model.txt"


@pytest.fixture
def run(kol):
    """Starts `kol run` with a round every second on the test's data folder."""
    started = []

    def start(*options):
        started.append(Served(kol, "--run-interval", "1s", *options, command="run"))
        return started[-1]

    yield start


def test_another_model_that_serves_scores_anew(kol, data, run):
    """Promoting a model is followed by new scores in the lake, the copy and the answers, without a
    new event; the next rounds leave all as it is."""
    if not MODEL.is_file():
        pytest.skip("no trust model ships with this tree")
    make_demo(kol.binary, data, kols=60, days=4)
    server = run()
    server.wait_ready()

    def scored_by():
        return server.get("/api/v1/kols", limit=1, include="scores")["data"][0]["scores"]["model_version"]

    assert scored_by() == "trust/shipped"
    kol("models", "import", "trust", MODEL)
    kol("models", "promote", "trust", "1", "--force")
    wait_until(lambda: scored_by() == "trust/1", "scores by the new model", timeout=100, pause=0.2)
    versions = kol(
        "sql", "SELECT DISTINCT trust_model_version AS v FROM gold.kol_scores "
        "WHERE trust_score IS NOT NULL", "--format", "json"
    ).json()
    assert versions == [{"v": "trust/1"}]
    copy = server.metric("kol_copy_number")
    runs = "SELECT count(*) AS n FROM lake.runs"
    before = kol("sql", runs, "--format", "json").json()
    # A later event is handled by a later round, so by then rounds without a reason have been.
    kol("log", "produce", "kol.profiles.raw", stdin=json.dumps({
        "event_type": "profile", "event_time": "2025-06-29T23:59:00Z", "platform": "tiktok",
        "username": "late.comer", "followers_count": 7}) + "\n")
    wait_until(lambda: server.ask("/api/v1/kols/late.comer").status == 200, "the event", timeout=100, pause=0.2)
    assert server.metric("kol_copy_number") == copy + 1
    assert kol("sql", runs, "--format", "json").json()[0]["n"] == before[0]["n"] + 1
    assert server.stop()[0] == 0



def live_files(data):
    return len(list((data / "lake/bronze/profiles").rglob("*.parquet")))


def test_tables_are_kept_up(kol, data, run):
    """Small files become one without anybody asking `kol maintain`; with 0s they stay."""
    small_files(kol, rounds=6)
    still = Kol(kol.binary, data.parent / "still")
    shutil.copytree(data, still.data)
    still("maintain", "--relocate", "--dry-run")
    count = live_files(data)
    assert count >= 6
    server = run("--run-maintain", "1h")
    # The files before stay for older snapshots; that they became one shows in one file more.
    wait_until(lambda: live_files(data) == count + 1, "the compacted file", timeout=100, pause=0.2)
    assert server.stop()[0] == 0
    other = Served(still, "--run-interval", "1s", "--run-maintain", "0s", command="run")
    other.wait_ready()
    assert other.stop()[0] == 0
    assert live_files(still.data) == count
    still.close()
