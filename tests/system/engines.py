"""Foreign engines that read the lake: PyIceberg, DuckDB's own Iceberg reader, Spark, Trino.

The last two are real services of tests/services/, installed on first use; where one cannot be had,
the test that asks for it is skipped with the reason. The libraries are imported where they are used:
the fixtures below are known to all system tests, most of which need none of them.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from support import ROOT, wait_until

SERVICES = ROOT / "tests/services"

# Status of a service's script that cannot get what it needs.
NOT_TO_BE_HAD = 3


# ---- PyIceberg ----


@contextlib.contextmanager
def catalog_of(data):
    """PyIceberg's catalog on a data folder; its connections are closed at the end."""
    from pyiceberg.catalog.sql import SqlCatalog

    lake = data.resolve() / "lake"
    catalog = SqlCatalog("kol", uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}")
    try:
        yield catalog
    finally:
        catalog.close()


def table_names(catalog):
    """All tables as (namespace, name), sorted."""
    return sorted(
        identifier
        for namespace in catalog.list_namespaces()
        for identifier in catalog.list_tables(namespace)
    )


# ---- DuckDB ----


def load_iceberg():
    """The SQL that does what `INSTALL iceberg; LOAD iceberg;` does where there is a network: the
    signed extensions lie in wheels of the very version of the library."""
    import duckdb
    import duckdb_extension_avro
    import duckdb_extension_iceberg

    return "".join(
        f"LOAD '{os.path.dirname(package.__file__)}/extensions/v{duckdb.__version__}/"
        f"{name}.duckdb_extension';\n"
        for name, package in (("avro", duckdb_extension_avro), ("iceberg", duckdb_extension_iceberg))
    )


@contextlib.contextmanager
def foreign_duckdb():
    """A DuckDB of its own with the Iceberg extension, which finds the newest metadata by itself."""
    import duckdb

    config = {"threads": 1, "autoinstall_known_extensions": False}
    with duckdb.connect(config=config) as connection:
        connection.execute(load_iceberg())
        connection.execute("SET TimeZone = 'UTC'; SET unsafe_enable_version_guessing = true")
        yield connection


# ---- Spark and Trino ----


def installed(script):
    """Installs a service where it is not; skips where that cannot be."""
    done = subprocess.run(
        [SERVICES / script, "install"], capture_output=True, text=True, timeout=1800, check=False
    )
    if done.returncode == NOT_TO_BE_HAD:
        pytest.skip(f"{script}: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return SERVICES / script


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Spark:
    """Runs Python scripts with PySpark and Iceberg's runtime."""

    def __init__(self, script, folder):
        self.script, self.folder = script, folder

    def run(self, code, cwd=None, timeout=600):
        """What the script printed on stdout."""
        file = self.folder / "script.py"
        file.write_text(code)
        done = subprocess.run(
            [self.script, "run", file],
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        return done.stdout


class Trino:
    """A running Trino; query() speaks its HTTP protocol."""

    def __init__(self, url):
        self.url = url

    def query(self, sql, catalog=None, timeout=300):
        """(column names, rows), values as Trino writes them in JSON."""
        headers = {
            "X-Trino-User": "test",
            "X-Trino-Time-Zone": "UTC",
            # Without this word times come cut to milliseconds.
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
        }
        if catalog:
            headers["X-Trino-Catalog"] = catalog
        request = urllib.request.Request(f"{self.url}/v1/statement", sql.encode(), headers)
        columns, rows, end = [], [], time.monotonic() + timeout
        while True:
            with urllib.request.urlopen(request, timeout=60) as response:
                page = json.load(response)
            assert "error" not in page, f"{page['error']['message']}\n{sql}"
            columns = columns or [column["name"] for column in page.get("columns", [])]
            rows += page.get("data", [])
            if "nextUri" not in page:
                return columns, rows
            assert time.monotonic() < end, f"no answer in {timeout} s: {sql}"
            request = urllib.request.Request(page["nextUri"])

    def add_catalog(self, name, properties):
        """Adds a catalog from the text of its properties file."""
        pairs = [line.split("=", 1) for line in properties.splitlines() if "=" in line]
        connector = dict(pairs).pop("connector.name")
        settings = ", ".join(
            f"\"{key}\" = '{value}'" for key, value in pairs if key != "connector.name"
        )
        self.query(f"CREATE CATALOG {name} USING {connector} WITH ({settings})")


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/v1/info", timeout=5) as response:
            return json.load(response)["starting"] is False
    except (urllib.error.URLError, OSError):
        return False


def start_trino(folder):
    """Starts Trino and waits until it answers; gives (process, url)."""
    script = installed("trino.sh")
    port = free_port()
    log = folder / "trino.log"
    with open(log, "wb") as words:
        process = subprocess.Popen(
            [script, "run", folder / "trino", str(port)],
            stdout=words,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"

    def ready():
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        return answers(url)

    try:
        wait_until(ready, f"Trino on port {port}, see {log}", timeout=240, pause=0.5)
    except BaseException:
        stop_group(process.pid)
        raise
    return process, url


def stop_group(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def locked(path):
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def shared_folder(tmp_path_factory, worker_id):
    """A folder that all workers of one test session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """PySpark; skips where it cannot be had. See Spark."""
    return Spark(installed("spark.sh"), tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="session")
def trino(tmp_path_factory, worker_id):
    """A running Trino, one for the session whatever its workers; the last worker stops it."""
    folder = shared_folder(tmp_path_factory, worker_id) / "trino-service"
    folder.mkdir(exist_ok=True)
    state = folder / "state.json"
    with locked(folder / "lock"):
        known = json.loads(state.read_text()) if state.is_file() else None
        process = None
        if not known:
            process, url = start_trino(folder)
            known = {"pid": process.pid, "url": url, "users": 0}
        known["users"] += 1
        state.write_text(json.dumps(known))
    yield Trino(known["url"])
    with locked(folder / "lock"):
        known = json.loads(state.read_text())
        known["users"] -= 1
        if known["users"] == 0:
            stop_group(known["pid"])
            state.unlink()
        else:
            state.write_text(json.dumps(known))
    if process:
        process.wait()


# ---- one lake for all of them ----

def event(number, kind, **fields):
    common = {
        "event_id": f"edge-{number}",
        "event_time": f"2025-06-2{number % 8}T10:11:12.{number:06d}Z",
        "event_type": kind,
        "platform": "tiktok",
        "username": f"edge_case_number_{number}",
    }
    return json.dumps(common | fields, ensure_ascii=False) + "\n"


# Names that tell a bound which was cut wrongly: longer than the 16 characters that bounds keep, with
# equal beginnings, of several bytes a character, and of characters that have no next one.
HARD_NAMES = [
    "same_first_sixteen_a",
    "same_first_sixteen_b",
    "same_first_sixteen_" + "z" * 200,
    "người_sáng_tạo_nội_dung_số_một",
    "ảnh đẹp mùa hè 🌞🌞🌞🌞🌞🌞🌞🌞🌞🌞🌞🌞",
    "\U0010ffff" * 20,
    "\uffff" * 17,
    "\ud7ff" * 17,
    "~" * 40,
    "\x7f" * 17,
    "Ａ" * 16 + "B",
    "'; -- \\ \" %_",
]

HARD_NUMBERS = [0, 1, -0.0, 0.1, 1e-308, 9.87654321e11, 123456789.123456789, 5e-324]


def hard_events():
    """(topic, lines) of events with the values that statistics get wrong first."""
    profiles = [
        event(number, "profile", username=name, nickname=name, bio=name * 3, followers_count=number)
        for number, name in enumerate(HARD_NAMES)
    ]
    profiles.append(event(50, "profile", followers_count=2**63 - 1, following_count=0))
    profiles.append(event(51, "profile", bio="", nickname=None))
    products = [
        event(60 + number, "product", product_id=f"edge-{number}", price=price, sold_count=number)
        for number, price in enumerate(HARD_NUMBERS)
    ]
    videos = [
        event(80 + number, "video", video_id=f"edge-{number}", caption=name, tags=tags, view_count=7)
        for number, (name, tags) in enumerate(
            [("a\tb\nc", []), ("🙂" * 30, ["mùa hè", "", "x" * 300]), ("null byte-free", None)]
        )
    ]
    return [
        ("kol.profiles.raw", "".join(profiles)),
        ("kol.products.raw", "".join(products)),
        ("kol.videos.raw", "".join(videos)),
    ]


def fill(kol, kols=300, days=6):
    """A small lake with several snapshots and files: demo events, edge cases, a second run."""
    kol("demo", "--kols", kols, "--days", days, "--seed", "11")
    kol("ingest")
    kol("etl")
    for topic, lines in hard_events():
        kol("log", "produce", topic, stdin=lines)
    kol("ingest")
    kol("etl", timeout=600)


@pytest.fixture(scope="session")
def foreign_lake(kol_bin, tmp_path_factory, worker_id):
    """Runs kol on a filled lake that nobody changes, made once per session. See fill()."""
    from support import Kol

    folder = shared_folder(tmp_path_factory, worker_id) / "foreign-lake"
    with locked(folder.with_suffix(".lock")):
        runner = Kol(kol_bin, folder)
        if not folder.is_dir():
            try:
                fill(runner)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    yield runner
    runner.close()


# ---- the page that says how to open the lake ----


def snippets(language):
    """The code blocks of one language in docs/parts/lake.md."""
    page = (ROOT / "docs/parts/lake.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
