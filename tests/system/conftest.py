"""Fixtures of the system tests: the built program, a data folder of its own, the real data sets."""

import os
import shutil
from pathlib import Path

import pytest

from engines import foreign_lake, spark, trino  # noqa: F401 - fixtures
from redis_services import (  # noqa: F401 - fixtures
    redis_cluster,
    redis_of_worker,
    redis_proxy,
    redis_server,
    redis_start,
)
from real_data import PART, PART_RECORDS, WHOLE, shared_real
from served import Served, shared_demo
from support import ROOT, Kol, program


@pytest.fixture(scope="session")
def kol_bin():
    """Path of the program under test ($KOL_BIN, else build/release/src/kol)."""
    return program()


@pytest.fixture(scope="session")
def sanitized(kol_bin):
    """Whether the program under test was built with a sanitizer: it is slower and bigger then."""
    code = kol_bin.read_bytes()
    return b"__asan_init" in code or b"__tsan_init" in code


@pytest.fixture
def data(tmp_path):
    """Path of this test's data folder, which the program makes on first use."""
    return tmp_path / "data"


@pytest.fixture
def kol(kol_bin, data):
    """Runs the program on the test's data folder: kol("log", "topics"). See support.Kol."""
    runner = Kol(kol_bin, data)
    yield runner
    runner.close()


@pytest.fixture
def kol_fail(data):
    """The same with the build that can be killed at a named point (base/failpoint.h): $KOL_FAIL_BIN,
    else build/fail/src/kol; skips where there is none."""
    binary = Path(os.environ.get("KOL_FAIL_BIN") or ROOT / "build/fail/src/kol").resolve()
    if not binary.is_file():
        pytest.skip(f"no program with fail points in {binary}: run `tools/build.sh fail`")
    runner = Kol(binary, data)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def shared_data():
    """Folder with the public data sets ($KOL_SHARED_DATA, else ../shared/data); skips without."""
    folder = Path(os.environ.get("KOL_SHARED_DATA") or ROOT.parent / "shared/data")
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}: set KOL_SHARED_DATA")
    return folder


def of_the_run(factory):
    """A folder that all workers of a run share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def demo_data(kol_bin, tmp_path_factory):
    """A data folder with a small demo world, up to its online copy. Nobody writes into it: copy it."""
    return shared_demo(kol_bin, of_the_run(tmp_path_factory))


@pytest.fixture
def demo_kol(kol_bin, demo_data, tmp_path):
    """Runs the program on a copy of the demo world of the test's own."""
    shutil.copytree(demo_data, tmp_path / "demo")
    kol = Kol(kol_bin, tmp_path / "demo")
    yield kol
    kol.close()


@pytest.fixture(scope="session")
def real_part(kol_bin, shared_data, tmp_path_factory):
    """A data folder with a part of the public data, up to its online copy. Nobody writes into it."""
    base = of_the_run(tmp_path_factory)
    return shared_real(kol_bin, base, shared_data, PART, "part", PART_RECORDS)


@pytest.fixture(scope="session")
def real_whole(kol_bin, shared_data, tmp_path_factory):
    """The same with all of it, for long tests."""
    return shared_real(kol_bin, of_the_run(tmp_path_factory), shared_data, WHOLE, "whole")


@pytest.fixture(scope="module")
def served(kol_bin, demo_data, tmp_path_factory):
    """A running `kol serve` over a copy of the demo data, for all tests of a module."""
    folder = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(demo_data, folder)
    kol = Kol(kol_bin, folder)
    yield Served(kol)
    kol.close()


@pytest.fixture
def serve(kol_bin, demo_data, tmp_path):
    """Starts servers of the test's own, with options: serve("--serve-cache", "0"). All share one copy
    of the demo data, tmp_path/data."""
    folder = tmp_path / "data"
    shutil.copytree(demo_data, folder)
    kol = Kol(kol_bin, folder)
    yield lambda *options, **more: Served(kol, *options, **more)
    kol.close()


@pytest.fixture
def serve_copy(kol_bin, tmp_path):
    """Starts servers over the online copy of a data folder, without its log and lake."""
    kols = []

    def start(folder, *options, env=None):
        shutil.copytree(folder / "online", tmp_path / f"copy{len(kols)}" / "online")
        kols.append(Kol(kol_bin, tmp_path / f"copy{len(kols)}"))
        return Served(kols[-1], *options, env=env)

    yield start
    for kol in kols:
        kol.close()


def is_for_release(item):
    """What a build with sanitizers shows no more of: the one with fail points has none in it."""
    fails = "kol_fail" in item.fixturenames and "KOL_FAIL_BIN" not in os.environ
    return fails or item.get_closest_marker("release_only")


def pytest_collection_modifyitems(config, items):
    """Leaves out what only a release build can show where the program has sanitizers in it."""
    if not any(is_for_release(item) for item in items):
        return
    code = program().read_bytes()
    if b"__asan_init" not in code and b"__tsan_init" not in code:
        return
    left_out = [item for item in items if is_for_release(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
