"""Memory and speed of large imports, by the benchmark that prints them."""

import os
import subprocess
import sys

import pytest

from support import ROOT


@pytest.mark.long
@pytest.mark.release_only
@pytest.mark.timeout(3600)
def test_memory_is_flat_from_100_megabytes_to_4_gigabytes(kol_bin, tmp_path):
    room = os.statvfs(tmp_path)
    if room.f_bavail * room.f_frsize < 16 << 30:
        pytest.skip("needs 16 GiB of disk: 4 GB of events, and the log that they go into")
    done = subprocess.run(
        [sys.executable, ROOT / "bench/bench_import.py", "--memory", "--folder", tmp_path],
        env=os.environ | {"KOL_BIN": str(kol_bin)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
