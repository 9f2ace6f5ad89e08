"""`kol backup` and `kol restore`: all of a data folder, while it is in use, and without the original."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from engines import catalog_of, table_names
from support import Kol, environment, wait_until

TOPIC = "kol.profiles.raw"
OFFSETS = "kol.next-offsets"


def points(quick, slow):
    """Fail points as parameters; those of `slow` in the long run alone."""
    return [*quick, *(pytest.param(point, marks=pytest.mark.long) for point in slow)]


# Every step of either command after which a crash leaves something else on disk.
BACKUP_POINTS = points(["table", "done"], ["begun", "catalog", "table:3", "lake", "log", "synced"])
RESTORE_POINTS = points(["relocate.swap:2"], ["restore.begun", "restore.copied", "restore.relocated"])


def write_events(path, count, first=0):
    """Profile events of 50 accounts over some days, so that bronze has some partitions."""
    with path.open("w") as out:
        for n in range(first, first + count):
            event = {
                "event_id": f"e{n}",
                "event_time": f"2025-05-{n % 4 + 1:02}T10:00:{n % 60:02}Z",
                "event_type": "profile",
                "platform": "tiktok",
                "username": f"u{n % 50}",
                "followers_count": n,
            }
            out.write(json.dumps(event) + "\n")
    return path


def backup(kol, folder, **more):
    """The rows of a backup by part."""
    rows = kol("backup", folder, "--format", "json", **more).json()
    return {row["part"]: row for row in rows}


def restored(kol, folder, data):
    """The backup as a data folder, and the program on it."""
    kol("restore", folder, data=data)
    return Kol(kol.binary, data)


def log_ends(kol):
    rows = kol("log", "topics", "--partition", -1, "--format", "json").json()
    return {
        (row["topic"], row["partition"]): row["end"] for row in rows if row["topic"] != "kol.dead"
    }


def read_tables(data):
    """table -> (rows of its current snapshot, property with the offsets), by PyIceberg; older
    snapshots must be readable, too."""
    found = {}
    with catalog_of(data) as catalog:
        for name in table_names(catalog):
            table = catalog.load_table(name)
            snapshots = table.snapshots()
            for snapshot in snapshots[:: max(1, len(snapshots) // 4)]:
                table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
            rows = len(table.scan().to_arrow())
            offsets = json.loads(table.properties.get(OFFSETS, "{}"))
            found[".".join(name)] = rows, offsets
    return found


def assert_consistent(data, kol):
    """Each bronze table has one row for each record below its offsets, and none beyond the log."""
    ends = log_ends(kol)
    tables = read_tables(data)
    for name, (rows, offsets) in tables.items():
        places = {(topic, int(p)): n for topic, of in offsets.items() for p, n in of.items()}
        assert rows == sum(places.values()), name
        for place, next_offset in places.items():
            assert next_offset <= ends[place], f"{name} has read further than the log goes"
    return tables


def files_below(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def filled(kol, tmp_path):
    """A data folder with a log and bronze."""
    kol("import", "events", write_events(tmp_path / "first.jsonl", 400))
    kol("ingest")
    return kol


# ---- a backup of what is in use ----


@pytest.mark.parametrize(
    "count, backups", [(3000, 2), pytest.param(60_000, 5, marks=pytest.mark.long)]
)
def test_backup_beside_import_and_ingest_is_one_moment_and_ingest_goes_on_from_it(
    kol, tmp_path, data, count, backups
):
    events = write_events(tmp_path / "events.jsonl", count)
    kol("log", "create", TOPIC, "--partitions", 2)
    importing = kol.start("import", "events", events, "--import-batch", "4096")  # slow, in many commits
    ingesting = kol.start("ingest", "--follow", "--commit-interval", "50ms")
    wait_until(
        lambda: (data / "lake/bronze/profiles/metadata").is_dir()
        and len(list((data / "lake/bronze/profiles/metadata").glob("*.metadata.json"))) > 1,
        "some commits",
    )
    seen = []
    for n in range(backups):
        folder = tmp_path / ("other" if n == 1 else "b")  # the one is renewed all the time
        backup(kol, folder)
        copy = restored(kol, folder, tmp_path / f"r{n}")
        tables = assert_consistent(tmp_path / f"r{n}", copy)
        seen.append(tables["bronze.profiles"][0])
        copy("ingest")
        ends = log_ends(copy)
        assert read_tables(tmp_path / f"r{n}")["bronze.profiles"][0] == sum(ends.values())
    assert seen == sorted(seen)
    assert importing.wait(timeout=120).status == 0
    wait_until(lambda: kol_rows(kol) == count, "all events in bronze", timeout=60)
    ingesting.signal(signal.SIGINT)
    ingesting.wait()
    backup(kol, tmp_path / "b")
    copy = restored(kol, tmp_path / "b", tmp_path / "last")
    assert read_tables(tmp_path / "last") == read_tables(data)
    copy("ingest")
    assert kol_rows(copy) == count
    assert ids(copy) == {f"e{n}" for n in range(count)}


def kol_rows(kol):
    row = kol("sql", "SELECT count(*) AS n FROM bronze.profiles", "--format", "json").json()
    return row[0]["n"]


def ids(kol):
    rows = kol("sql", "SELECT event_id FROM bronze.profiles", "--format", "csv", "--limit", 0)
    return set(rows.text.split()[1:])


def test_restored_folder_needs_no_original(filled, tmp_path, data):
    (data / "kol.conf").write_text("log.retention = 9d\n")
    (data / "keys").mkdir()
    (data / "keys/api").write_text("secret")
    (data / "keys/api").chmod(0o600)
    (data / "keys/api.lock").write_text("")
    (data / "online").mkdir(exist_ok=True)
    (data / "online/junk").write_text("made anew")
    before, rows = read_tables(data), kol_rows(filled)
    parts = backup(filled, tmp_path / "b")
    assert parts["files"]["files"] == 2
    shutil.rmtree(data)
    copy = restored(filled, tmp_path / "b", tmp_path / "new")
    shutil.rmtree(tmp_path / "b")
    assert read_tables(tmp_path / "new") == before
    assert kol_rows(copy) == rows == 400
    there = files_below(tmp_path / "new")
    assert there["keys/api"] == 6 and there["kol.conf"]
    assert (tmp_path / "new/keys/api").stat().st_mode & 0o777 == 0o600
    assert not {"keys/api.lock", "online/junk", "restoring", "backup.json"} & there.keys()
    copy("import", "events", write_events(tmp_path / "more.jsonl", 10, first=400))
    copy("ingest")
    assert kol_rows(copy) == 410


def test_a_folder_without_a_lake_or_a_log_is_backed_up_as_it_is(kol, tmp_path):
    kol("import", "events", write_events(tmp_path / "e.jsonl", 20))
    assert set(backup(kol, tmp_path / "b")) == {"log"}
    copy = restored(kol, tmp_path / "b", tmp_path / "new")
    assert sum(log_ends(copy).values()) == 20
    copy("ingest")
    assert kol_rows(copy) == 20


def test_links_are_not_followed_and_told(kol, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not kol's")
    kol("import", "events", write_events(tmp_path / "e.jsonl", 2))
    (kol.data / "folder").symlink_to(outside)
    (kol.data / "file").symlink_to(outside / "secret")
    (kol.data / "kol.conf").write_text("")
    rows = backup(kol, tmp_path / "b")
    assert rows["links"]["left_out"].startswith("2 symbolic links")
    assert rows["files"]["files"] == 1
    assert not (tmp_path / "b/folder").exists() and not (tmp_path / "b/file").exists()
    restored(kol, tmp_path / "b", tmp_path / "new")


def test_second_backup_copies_what_is_new_and_drops_what_is_gone(filled, tmp_path, data):
    folder = tmp_path / "b"
    (data / "kol.conf").write_text("")
    first = backup(filled, folder)
    assert all(row["copied_files"] == row["files"] for row in first.values())
    again = backup(filled, folder)["bronze.profiles"]
    assert (again["files"], again["copied_files"]) == (first["bronze.profiles"]["files"], 0)

    filled("import", "events", write_events(tmp_path / "more.jsonl", 40, first=400))
    filled("ingest")
    (data / "kol.conf").unlink()
    third = backup(filled, folder)["bronze.profiles"]
    assert 0 < third["copied_files"] < third["files"]
    assert not (folder / "kol.conf").exists()

    filled("maintain", "--expire-after", "0s", "--keep", 1, "--orphan-age", "0s", "--no-writers")
    last = backup(filled, folder)
    there = files_below(folder / "lake")
    note = json.loads((folder / "backup.json").read_text())
    assert note["lake"] == {"files": len(there), "bytes": sum(there.values())}
    assert last["catalog"]["files"] == 2, "nothing of the older backups is left beside the tables"
    copy = restored(filled, folder, tmp_path / "new")
    assert read_tables(tmp_path / "new") == read_tables(data)
    assert kol_rows(copy) == 440


# ---- crashes ----


@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_backup_killed_anywhere_is_none_until_it_is_made_again(kol_fail, tmp_path, data, point):
    kol = kol_fail
    kol("import", "events", write_events(tmp_path / "e.jsonl", 100))
    kol("ingest")
    before, folder = read_tables(data), tmp_path / "b"
    dying = {"KOL_TEST_FAILPOINT": f"backup.{point}"}
    kol("backup", folder, env=dying, status=-9)
    if point not in ("log", "synced", "done"):
        assert not (folder / "log/data.mdb").exists(), "the log comes after the lake"
    if point != "done":  # by then it is complete
        refused = kol("restore", folder, data=tmp_path / "no", status=1)
        assert "`kol backup` again completes it" in refused.errors
        assert not (tmp_path / "no").exists() or not any((tmp_path / "no").iterdir())
    assert read_tables(data) == before
    backup(kol, folder)
    assert not (folder / "unfinished").exists()
    kol("backup", folder, env=dying, status=-9)  # and renewing a complete one
    kol("import", "events", write_events(tmp_path / "f.jsonl", 10, first=100))
    kol("ingest")
    backup(kol, folder)
    copy = restored(kol, folder, tmp_path / "new")
    assert read_tables(tmp_path / "new") == read_tables(data)
    assert kol_rows(copy) == 110


@pytest.mark.parametrize("point", RESTORE_POINTS)
def test_restore_killed_anywhere_is_no_data_until_it_is_done_again(kol_fail, tmp_path, data, point):
    kol, new = kol_fail, tmp_path / "new"
    kol("import", "events", write_events(tmp_path / "e.jsonl", 100))
    kol("ingest")
    before = read_tables(data)
    backup(kol, tmp_path / "b")
    shutil.rmtree(data)
    kol("restore", tmp_path / "b", data=new, env={"KOL_TEST_FAILPOINT": point}, status=-9)
    for command in (["log", "topics"], ["ingest"], ["tables"], ["backup", tmp_path / "c"]):
        refused = kol(*command, data=new, status=1)
        assert "a restore into this folder has not come to its end" in refused.errors
    copy = restored(kol, tmp_path / "b", new)
    assert read_tables(new) == before
    assert kol_rows(copy) == 100
    note = json.loads((tmp_path / "b/backup.json").read_text())
    for table in (new / "lake/bronze").iterdir():
        metadata = list((table / "metadata").glob("*.metadata.json"))
        assert len(metadata) == 2, "nothing is left of the relocation that was killed"
    assert note["lake"]["files"] < len(files_below(new / "lake"))


def test_interrupted_backup_says_so_and_goes_on(filled, tmp_path, data):
    (data / "models").mkdir()
    with (data / "models/big").open("wb") as big:
        big.truncate(300 << 20)  # copied last
    folder = tmp_path / "b"
    running = filled.start("backup", folder)
    wait_until(lambda: (folder / "models").is_dir() or running.process.poll(), "the plain files")
    running.signal(signal.SIGINT)
    result = running.wait()
    assert result.status == 130 and "goes on where it stopped" in result.errors
    assert (folder / "unfinished").exists() and not (folder / "backup.json").exists()
    (data / "models/big").unlink()
    again = backup(filled, folder)
    assert again["bronze.profiles"]["copied_files"] == 0
    assert not list((folder).rglob("*.tmp"))
    assert kol_rows(restored(filled, folder, tmp_path / "new")) == 400


# ---- full disks ----

DISK_FULL = """
set -eu
mount -t tmpfs -o size=1m none "$1"
try() { name=$1; shift; "$@" >"$out/$name" 2>&1 && echo 0 >"$out/$name.status" || echo $? >"$out/$name.status"; }
out=$4
try first "$2" $5
mount -o remount,size=400m "$1"
try second "$2" $5
try rows "$2" sql "SELECT count(*) AS n FROM bronze.profiles" --format csv --data "$3"
"""


def on_full_disk(kol, tmp_path, disk, data, command):
    """Runs the command on a disk that is full, then on the same one with more space."""
    unshare = ["unshare", "--mount", "--map-root-user", "--user"]
    out = tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", disk], check=False).returncode:
        pytest.skip("no right to mount a tmpfs in a namespace of one's own")
    subprocess.run(
        [*unshare, "sh", "-c", DISK_FULL, "sh", disk, kol.binary, data, out, command],
        env=environment(),
        check=True,
        timeout=120,
    )
    return {path.name: path.read_text() for path in out.iterdir()}


@pytest.fixture
def heavy(kol, tmp_path):
    """More in the log than the small disk takes."""
    kol("import", "events", write_events(tmp_path / "first.jsonl", 20_000))
    kol("ingest")
    return kol


def test_full_disk_under_a_backup_is_a_clear_error(heavy, tmp_path, data):
    disk, before = tmp_path / "disk", files_below(data)
    said = on_full_disk(heavy, tmp_path, disk, data, f"backup {disk}/b --data {data}")
    assert said["first.status"] == "1\n"
    assert "make space and give the same command again" in said["first"]
    assert said["second.status"] == "0\n", said["second"]
    assert said["rows"].split() == ["n", "20000"]
    after = files_below(data)
    assert {name: after[name] for name in before} == before, "nothing of the source is touched"


def test_full_disk_under_a_restore_is_a_clear_error(heavy, tmp_path):
    backup(heavy, tmp_path / "b")
    disk = tmp_path / "disk"
    data = disk / "new"
    said = on_full_disk(heavy, tmp_path, disk, data, f"restore {tmp_path}/b --data {data}")
    assert said["first.status"] == "1\n"
    assert "make space and give the same command again" in said["first"]
    assert said["second.status"] == "0\n", said["second"]
    assert said["rows"].split() == ["n", "20000"]


# ---- what is refused ----


def test_folders_that_cannot_be_a_backup_are_refused(filled, tmp_path, data):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert "is not empty and holds no backup" in filled("backup", other, status=1).errors
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    for inside in (data / "b", data, tmp_path):
        refused = filled("backup", inside, status=1)
        assert "must not lie in each other" in refused.errors
    assert not (data / "backup.json").exists()
    assert filled("backup", status=2)
    (other / "file").write_text("")
    assert "no folder" in filled("backup", other / "file", status=1).errors
    assert "no data folder" in filled("backup", tmp_path / "b", data=tmp_path / "x", status=1).errors


def test_folders_that_cannot_be_restored_are_refused(filled, tmp_path, data):
    folder, new = tmp_path / "b", tmp_path / "new"
    assert "no such folder" in filled("restore", folder, data=new, status=1).errors
    folder.mkdir()
    assert "holds no backup" in filled("restore", folder, data=new, status=1).errors
    assert not new.exists()
    backup(filled, folder)
    refused = filled("restore", folder, status=1)
    assert "nothing is ever restored over data" in refused.errors
    assert kol_rows(filled) == 400
    assert "lie in each other" in filled("restore", folder, data=folder / "x", status=1).errors
    shutil.rmtree(folder / "x", ignore_errors=True)

    note = (folder / "backup.json").read_text()
    newer = {**json.loads(note), "format": 99}
    (folder / "backup.json").write_text(json.dumps(newer))
    assert "made by a newer kol" in filled("restore", folder, data=new, status=1).errors
    escaping = {**json.loads(note), "names": ["../escaped"]}
    (tmp_path / "escaped").write_text("x")
    (folder / "backup.json").write_text(json.dumps(escaping))
    assert "not as kol wrote it" in filled("restore", folder, data=new, status=1).errors
    (folder / "backup.json").write_text(note[: len(note) // 2])
    assert "not as kol wrote it" in filled("restore", folder, data=new, status=1).errors
    (folder / "backup.json").write_text(note)

    victim = next((folder / "lake/bronze/profiles/data").rglob("*.parquet"))
    victim.unlink()
    assert "the backup is damaged" in filled("restore", folder, data=new, status=1).errors
    assert "has not come to its end" in filled("tables", data=new, status=1).errors
    backup(filled, folder)  # mends it, and is another backup than the one begun there
    assert "another backup was begun" in filled("restore", folder, data=new, status=1).errors
    assert kol_rows(restored(filled, folder, tmp_path / "newer")) == 400


def test_table_whose_files_lie_elsewhere_is_left_out_and_told(filled, tmp_path, data):
    """The other tables are in the backup all the same; the exit status says that one is not."""
    import pyarrow as pa

    with catalog_of(data) as catalog:
        rows = pa.table({"n": [1, 2, 3]})
        table = catalog.create_table(
            "bronze.elsewhere", schema=rows.schema, location=f"file://{tmp_path}/elsewhere"
        )
        table.append(rows)
        mine = catalog.create_table("bronze.mine", schema=rows.schema)
        mine.append(rows)
    folder = tmp_path / "b"
    done = filled("backup", folder, "--format", "json", status=1)
    parts = {row["part"]: row for row in done.json()}
    assert "lies outside" in parts["bronze.elsewhere"]["left_out"]
    assert "1 of " in done.errors and "are not in the backup" in done.errors
    assert parts["bronze.mine"]["left_out"] is None
    shutil.move(data, tmp_path / "gone")
    restored(filled, folder, tmp_path / "new")
    tables = read_tables(tmp_path / "new")
    assert tables["bronze.mine"][0] == 3 and tables["bronze.profiles"][0] == 400
    assert "bronze.elsewhere" not in tables


def test_two_backups_into_one_folder_at_once_are_refused(filled, tmp_path):
    import fcntl

    folder = tmp_path / "b"
    backup(filled, folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is at work here" in filled("backup", folder, status=1).errors
        refused = filled("restore", folder, data=tmp_path / "new", status=1)
        assert "is at work here" in refused.errors
    finally:
        os.close(lock)
    assert kol_rows(restored(filled, folder, tmp_path / "new")) == 400
