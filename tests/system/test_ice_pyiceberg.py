"""Manifests and manifest lists, ours read by PyIceberg and PyIceberg's read by us.

The program's own reader and writer are driven by ice_dump, a small program of the build folder.
"""

import datetime as dt
import decimal
import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from support import program

pyiceberg = pytest.importorskip("pyiceberg")

import pyarrow as pa  # noqa: E402
from pyiceberg.catalog.sql import SqlCatalog  # noqa: E402
from pyiceberg.conversions import to_bytes  # noqa: E402
from pyiceberg.io.pyarrow import PyArrowFileIO  # noqa: E402
from pyiceberg.manifest import ManifestEntryStatus, read_manifest_list  # noqa: E402
from pyiceberg.partitioning import PartitionField, PartitionSpec  # noqa: E402
from pyiceberg.schema import Schema  # noqa: E402
from pyiceberg import transforms, types  # noqa: E402


@pytest.fixture(scope="module")
def dump():
    """Runs ice_dump ($KOL_ICE_DUMP, else that of the program's build folder): its lines as objects."""
    path = Path(os.environ.get("KOL_ICE_DUMP") or program().parents[1] / "tests/tools/ice_dump")
    if not path.is_file():
        pytest.skip(f"no {path}: build all targets, or set KOL_ICE_DUMP")

    def run(*args):
        result = subprocess.run([path, *map(str, args)], capture_output=True, timeout=60)
        assert result.returncode == 0, result.stderr.decode()
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    return run


# ---- ours, read by PyIceberg ----

NAME = "Đặng Thị Ánh, dài hơn mười sáu"


@pytest.fixture
def sample(dump, tmp_path):
    dump("sample", tmp_path)
    (manifest,) = read_manifest_list(PyArrowFileIO().new_input(str(tmp_path / "list.avro")))
    return manifest


def test_pyiceberg_reads_our_manifest_list(sample, tmp_path):
    assert sample.manifest_path == str(tmp_path / "manifest.avro")
    assert sample.manifest_length == (tmp_path / "manifest.avro").stat().st_size
    assert sample.partition_spec_id == 4
    assert (sample.sequence_number, sample.min_sequence_number) == (6, 3)
    assert sample.added_snapshot_id == 99
    assert (sample.added_files_count, sample.existing_files_count) == (1, 1)
    assert (sample.deleted_files_count, sample.deleted_rows_count) == (1, 7)
    assert (sample.added_rows_count, sample.existing_rows_count) == (7, 7)
    assert len(sample.partitions) == 16
    assert all(part.contains_null for part in sample.partitions)
    assert sample.partitions[10].lower_bound == NAME.encode()
    assert sample.partitions[14].upper_bound == to_bytes(types.DateType(), 17486)


def test_pyiceberg_reads_our_manifest(sample):
    entries = sample.fetch_manifest_entry(PyArrowFileIO(), discard_deleted=False)
    assert [entry.status for entry in entries] == [
        ManifestEntryStatus.ADDED,
        ManifestEntryStatus.EXISTING,
        ManifestEntryStatus.DELETED,
    ]
    added, existing, deleted = entries
    assert (added.snapshot_id, added.sequence_number, added.file_sequence_number) == (99, 6, 6)
    assert (existing.sequence_number, existing.file_sequence_number) == (3, 2)
    file = added.data_file
    assert file.file_path == "file:///lake/t/data/a.parquet"
    assert (file.record_count, file.file_size_in_bytes) == (7, 600)
    assert file.split_offsets == [4, 5_000_000_000]
    assert file.sort_order_id == 1
    assert dict(file.column_sizes) == {3: 100, 5: 200, 11: 300}
    assert dict(file.value_counts) == {3: 7, 5: 7, 11: 7}
    assert dict(file.null_value_counts) == {3: 0, 5: 2}
    assert dict(file.nan_value_counts) == {5: 1}
    assert dict(file.lower_bounds) == {
        3: to_bytes(types.LongType(), -5),
        11: NAME[:16].encode(),
    }
    assert file.upper_bounds[11] == NAME[:15].encode() + chr(ord(NAME[15]) + 1).encode()
    assert [existing.data_file.partition[i] for i in range(16)] == [None] * 16


def test_pyiceberg_reads_our_partition_values_of_every_type(sample):
    file = sample.fetch_manifest_entry(PyArrowFileIO())[0].data_file
    values = [file.partition[i] for i in range(16)]
    assert values[:4] == [True, -(2**31), 2**63 - 1, -1.5]
    # PyIceberg's compiled decoder gives a double as a float; the summary's bytes are exact.
    assert values[4] == pytest.approx(0.1, rel=1e-7)
    assert sample.partitions[4].lower_bound == to_bytes(types.DoubleType(), 0.1)
    assert values[5] == decimal.Decimal("-12.94")
    assert values[6:10] == [-1, 81_068_000_001, -1, 1_510_871_468_000_001]
    assert values[10:12] == [NAME, b"\0\xff"]
    assert uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7") == (
        values[12] if isinstance(values[12], uuid.UUID) else uuid.UUID(bytes=values[12])
    )
    assert values[13:] == [b"abc", 17486, 7]


# ---- PyIceberg's, read by us ----

SCHEMA = Schema(
    types.NestedField(1, "id", types.LongType(), required=True),
    types.NestedField(2, "name", types.StringType()),
    types.NestedField(3, "at", types.TimestamptzType()),
    types.NestedField(4, "price", types.DecimalType(9, 2)),
    types.NestedField(5, "score", types.DoubleType()),
    types.NestedField(6, "day", types.DateType()),
    types.NestedField(7, "tags", types.ListType(8, types.StringType(), element_required=False)),
)
PARTED = PartitionSpec(
    PartitionField(3, 1000, transforms.DayTransform(), "at day"),
    PartitionField(2, 1001, transforms.TruncateTransform(3), "name_trunc"),
    PartitionField(1, 1002, transforms.BucketTransform(4), "id_bucket"),
    PartitionField(4, 1003, transforms.IdentityTransform(), "price"),
)


def rows(start):
    at = dt.datetime(1969, 12, 31, 23, 59, tzinfo=dt.timezone.utc)
    return pa.Table.from_pylist(
        [
            {
                "id": start + i,
                "name": [None, "Đặng Thị Ánh Nguyệt", "abc", ""][i % 4],
                "at": None if i == 5 else at + dt.timedelta(hours=12 * i),
                "price": [decimal.Decimal("-1.05"), decimal.Decimal("1234567.89"), None][i % 3],
                "score": [float("nan"), -0.0, 1.5, None][i % 4],
                "day": dt.date(2024, 2, 29),
                "tags": [["a", None], []][i % 2],
            }
            for i in range(8)
        ],
        schema=pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                ("name", pa.string()),
                ("at", pa.timestamp("us", tz="UTC")),
                ("price", pa.decimal128(9, 2)),
                ("score", pa.float64()),
                ("day", pa.date32()),
                ("tags", pa.list_(pa.string())),
            ]
        ),
    )


@pytest.fixture(params=["1", "2"])
def version(request):
    return request.param


@pytest.fixture
def table(tmp_path, version):
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("n")
    table = catalog.create_table(
        "n.t", SCHEMA, partition_spec=PARTED, properties={"format-version": version}
    )
    table.append(rows(0))
    table.append(rows(100))
    table.delete("id < 4")  # rewrites files: existing and deleted entries
    return table


def count(number):
    return -1 if number is None else number


def stats(file):
    """PyIceberg's maps by column as ice_dump shows them."""
    out = {}
    for key, counts in (
        ("size", file.column_sizes),
        ("values", file.value_counts),
        ("nulls", file.null_value_counts),
        ("nans", file.nan_value_counts),
    ):
        for column, number in (counts or {}).items():
            out.setdefault(column, {})[key] = number
    for key, bounds in (("lower", file.lower_bounds), ("upper", file.upper_bounds)):
        for column, value in (bounds or {}).items():
            out.setdefault(column, {})[key] = value.hex()
    return {
        str(column): {"id": column, "size": -1, "values": -1, "nulls": -1, "nans": -1, **known}
        for column, known in out.items()
    }


def partition(table, file):
    results = [field.field_type for field in PARTED.partition_type(table.schema()).fields]
    values = [file.partition[i] for i in range(len(results))]
    return [None if v is None else to_bytes(t, v).hex() for t, v in zip(results, values)]


def path_of(location):
    return location.removeprefix("file://")


def test_we_read_pyicebergs_manifest_lists(dump, table):
    for snapshot in table.snapshots():
        theirs = list(read_manifest_list(table.io.new_input(snapshot.manifest_list)))
        ours = dump("list", path_of(snapshot.manifest_list))
        assert len(ours) == len(theirs) > 0
        for mine, other in zip(ours, theirs):
            assert mine["path"] == other.manifest_path
            assert mine["length"] == other.manifest_length
            assert mine["spec_id"] == other.partition_spec_id
            assert mine["sequence_number"] == (other.sequence_number or 0)
            assert mine["min_sequence_number"] == (other.min_sequence_number or 0)
            assert mine["added_snapshot_id"] == other.added_snapshot_id
            for kind in ("added", "existing", "deleted"):
                assert mine[f"{kind}_files"] == count(getattr(other, f"{kind}_files_count"))
                assert mine[f"{kind}_rows"] == count(getattr(other, f"{kind}_rows_count"))
            for part, their in zip(mine["partitions"], other.partitions, strict=True):
                assert part["null"] == their.contains_null
                assert part["nan"] == (their.contains_nan is not False)
                bounds = (part.get("lower"), part.get("upper"))
                if their.lower_bound is None or their.upper_bound is None:
                    assert bounds == (None, None)
                else:
                    assert bounds == (their.lower_bound.hex(), their.upper_bound.hex())


def test_we_read_pyicebergs_manifests(dump, table, version):
    statuses, files = set(), 0
    for snapshot in table.snapshots():
        for manifest in snapshot.manifests(table.io):
            theirs = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            ours = dump("manifest", path_of(manifest.manifest_path))
            assert len(ours) == len(theirs) > 0
            for mine, other in zip(ours, theirs):
                file = other.data_file
                assert mine["path"] == file.file_path
                assert mine["status"] == other.status
                assert mine["snapshot_id"] == other.snapshot_id
                assert mine["rows"] == file.record_count
                assert mine["bytes"] == file.file_size_in_bytes
                assert mine["splits"] == list(file.split_offsets or [])
                assert mine["columns"] == stats(file)
                assert mine["partition"] == partition(table, file)
                if version == "1":
                    assert mine["sequence_number"] == 0
                statuses.add(other.status)
                files += 1
    assert files > 16
    assert len(statuses) >= 2
