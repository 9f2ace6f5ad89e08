"""`kol sql`: what it shows, what it refuses, and that it ends. The tables are made by PyIceberg, so
that nothing here depends on how kol writes its own."""

import csv
import datetime as dt
import decimal
import io
import json
import math
import signal
import time
import uuid

import pytest

from engines import catalog_of
from support import Kol, wait_until

UTC = dt.timezone.utc


def arrow(rows, schema):
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema.as_arrow())


def all_types():
    from pyiceberg.schema import Schema
    from pyiceberg.types import (
        BinaryType,
        BooleanType,
        DateType,
        DecimalType,
        DoubleType,
        FloatType,
        IntegerType,
        ListType,
        LongType,
        NestedField,
        StringType,
        StructType,
        TimestampType,
        TimestamptzType,
        TimeType,
        UUIDType,
    )

    inner = StructType(
        NestedField(30, "x", LongType()), NestedField(31, "y", StringType(), required=False)
    )
    types = [
        ("b", BooleanType()),
        ("i", IntegerType()),
        ("l", LongType()),
        ("f", FloatType()),
        ("d", DoubleType()),
        ("de", DecimalType(38, 10)),
        ("dt", DateType()),
        ("ti", TimeType()),
        ("ts", TimestampType()),
        ("tz", TimestamptzType()),
        ("s", StringType()),
        ("bin", BinaryType()),
        ("u", UUIDType()),
        ("tags", ListType(20, StringType(), element_required=False)),
        ("st", inner),
    ]
    return Schema(*(NestedField(at, name, kind) for at, (name, kind) in enumerate(types, 1)))


ROW = {
    "b": True,
    "i": -2147483648,
    "l": 9223372036854775807,
    "f": 0.1,
    "d": 0.1 + 0.2,
    "de": decimal.Decimal("-1234567890123456789012345678.0123456789"),
    "dt": dt.date(1969, 12, 31),
    "ti": dt.time(1, 2, 3, 4),
    "ts": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    "tz": dt.datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
    "s": 'Đặng "x", \n\x00 \N{CLAPPER BOARD}',
    "bin": b"\x00\xff",
    "u": uuid.UUID("f0000000-0000-1000-8000-00000000000f").bytes,
    "tags": ["a", None, 'b"'],
    "st": {"x": 1, "y": None},
}


def fill(catalog):
    """Three tables that only PyIceberg has written."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField, StringType

    catalog.create_namespace("mine")
    catalog.create_namespace("Other")
    schema = Schema(NestedField(1, "n", LongType()), NestedField(2, "name", StringType()))
    numbers = catalog.create_table("mine.numbers", schema)
    rows = [{"n": n, "name": f"name {n}"} for n in range(1000)]
    numbers.append(arrow(rows, numbers.schema()))
    types = catalog.create_table("mine.types", all_types())
    types.append(arrow([ROW, dict.fromkeys(ROW)], types.schema()))
    catalog.create_table("Other.Empty", schema)


@pytest.fixture(scope="module")
def kol(kol_bin, tmp_path_factory):
    """Runs kol on a lake that the tests read only."""
    folder = tmp_path_factory.mktemp("sql") / "data"
    (folder / "lake").mkdir(parents=True)
    with catalog_of(folder) as catalog:
        fill(catalog)
    runner = Kol(kol_bin, folder)
    yield runner
    runner.close()


@pytest.fixture
def own(kol_bin, data):
    """A lake of the test's own, to change: the runner and PyIceberg's catalog."""
    (data / "lake").mkdir(parents=True)
    runner = Kol(kol_bin, data)
    with catalog_of(data) as catalog:
        fill(catalog)
        yield runner, catalog
    runner.close()


def ask(kol, sql, *flags, **more):
    return kol("sql", sql, "--format", "json", *flags, **more)


def test_every_type_is_shown_as_json(kol):
    first, second = ask(kol, "SELECT * FROM mine.types ORDER BY b").text.splitlines()
    values = json.loads(first, parse_float=decimal.Decimal)
    assert values == {
        "b": True,
        "i": -2147483648,
        "l": 9223372036854775807,
        "f": decimal.Decimal("0.1"),
        "d": decimal.Decimal("0.30000000000000004"),
        "de": ROW["de"],
        "dt": "1969-12-31",
        "ti": "01:02:03.000004",
        "ts": "1969-12-31T23:59:59.999999",
        "tz": "2024-02-29T12:00:00Z",
        "s": ROW["s"],
        "bin": "base64:AP8=",
        "u": "f0000000-0000-1000-8000-00000000000f",
        "tags": ["a", None, 'b"'],
        "st": {"x": 1, "y": None},
    }
    assert set(json.loads(second).values()) == {None}


def test_values_that_json_has_no_form_for_are_words(kol):
    (row,) = ask(
        kol,
        "SELECT 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b, sum(n) * 1000000000000000000 AS c, "
        "INTERVAL 3 days AS d, ['nan'::DOUBLE] AS e FROM mine.numbers",
    ).json()
    assert row == {
        "a": "NaN",
        "b": "-Infinity",
        "c": 499500 * 10**18,
        "d": "3 days",
        "e": ["NaN"],
    }


def test_csv_and_table(kol):
    sql = "SELECT n, name, NULL AS nothing, [n] AS list FROM mine.numbers WHERE n < 2 ORDER BY n"
    rows = list(csv.reader(io.StringIO(kol("sql", sql, "--format", "csv").text)))
    assert rows == [
        ["n", "name", "nothing", "list"],
        ["0", "name 0", "", "[0]"],
        ["1", "name 1", "", "[1]"],
    ]
    assert [line.split() for line in kol("sql", sql).text.splitlines()] == [
        ["n", "name", "nothing", "list"],
        ["0", "name", "0", "-", "[0]"],
        ["1", "name", "1", "-", "[1]"],
    ]


def test_columns_of_one_name_are_all_there(kol):
    (row,) = ask(kol, "SELECT 1 AS x, 2 AS x, 3 AS x_2, 4 AS y").json()
    assert row == {"x": 1, "x_2": 2, "x_2_2": 3, "y": 4}


def test_sql_from_stdin_joins_and_with(kol):
    sql = b"""WITH few AS (SELECT n FROM mine.numbers WHERE n < 3) -- a comment
              SELECT count(*) AS c, sum(few.n) AS s
              FROM few JOIN MINE.Numbers AS b ON b.n = few.n;"""
    assert ask(kol, "-", stdin=sql).json() == [{"c": 3, "s": 3}]
    assert b"not UTF-8" in kol("sql", "-", stdin=b"SELECT '\xff'", status=1).err
    assert b"not UTF-8" in kol("sql", "-", stdin=b"SELECT 1 \0 FROM", status=1).err


def test_a_table_without_rows_and_capitals(kol):
    assert ask(kol, 'SELECT count(*) AS c, max(name) AS m FROM "Other"."Empty"').json() == [
        {"c": 0, "m": None}
    ]
    assert kol("sql", 'SELECT * FROM "Other"."Empty"', "--format", "csv").text == "n,name\n"


def test_an_unknown_table_names_the_nearest(kol):
    result = ask(kol, "SELECT * FROM mine.nubmers", status=1)
    assert "there is no table mine.nubmers; did you mean mine.numbers" in result.errors
    assert "kol tables" in result.errors
    assert "did you mean mine.numbers" in ask(kol, "SELECT * FROM numbers", status=1).errors
    assert "by namespace and name" in ask(kol, "FROM kol.mine.numbers", status=1).errors


def test_without_a_lake_it_says_what_makes_one(kol, tmp_path):
    empty = tmp_path / "empty"
    result = ask(kol, "SELECT 1", data=empty, status=1)
    assert "kol ingest" in result.errors and not empty.exists()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEKT 1", "syntax error"),
        ("SELECT nothing FROM mine.numbers", "nothing"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DROP TABLE mine.numbers", "SELECT"),
        ("SELECT * FROM '/etc/passwd'", "file"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() is not allowed"),
        ("SELECT getenv('HOME')", "not allowed"),
        ("SELECT * FROM duckdb_settings()", "not allowed"),
        ("SELECT * FROM information_schema.tables", "engine itself"),
        ("COPY (SELECT 1) TO 'x.csv'", "SELECT"),
        ("SET threads = 1", "SELECT"),
        ("", "no SQL"),
    ],
)
def test_what_is_refused(kol, sql, says):
    result = ask(kol, sql, status=1)
    assert result.out == b"" and says in result.errors
    assert len(result.errors.strip().splitlines()) == 1


def test_the_limit_of_rows(kol):
    result = ask(kol, "SELECT n FROM mine.numbers ORDER BY n", "--limit", "3")
    assert result.json() == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert "more rows than the 3" in result.errors
    assert "more rows" not in ask(kol, "SELECT 1 FROM mine.numbers", "--limit", "1000").errors


ENDLESS = "SELECT count(*) FROM range(1000000000000) r, mine.numbers WHERE r.range % 7 = 8 + n"


def test_the_limit_of_time(kol):
    result = ask(kol, ENDLESS, "--timeout", "300ms", status=1)
    assert "its limit of 0.3 s" in result.errors and result.out == b""


def test_an_interrupt_ends_it(kol):
    running = kol.start("sql", ENDLESS, "--timeout", "0s")

    def at_work():
        return any((kol.data / "lake/.staging").glob("engine-*")) or cpu_seconds(running.pid) > 0.5

    wait_until(at_work, "the SELECT at work")
    running.signal(signal.SIGINT)
    assert running.wait(timeout=20).status == 130


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_the_limit_of_memory(kol):
    sql = "SELECT max(len(l)) FROM (SELECT list(range) AS l FROM range(30000000))"
    result = ask(kol, sql, "--memory", "64MiB", status=1)
    assert "memory" in result.errors


def test_a_sort_larger_than_memory_spills_and_leaves_nothing(kol):
    sql = "SELECT count(*) AS c FROM (SELECT hash(range) FROM range(6000000) ORDER BY 1 OFFSET 1)"
    assert ask(kol, sql, "--memory", "64MiB", "--lake-threads", "1").json() == [{"c": 5999999}]
    staging = kol.data / "lake/.staging"
    assert not staging.is_dir() or not any(staging.iterdir())


def test_as_of_a_snapshot_and_a_time(own):
    kol, lake = own
    table = lake.load_table("mine.numbers")
    first = table.current_snapshot()
    table.append(arrow([{"n": 5000, "name": "late"}], table.schema()))
    with table.update_schema() as update:
        update.rename_column("name", "label")
    count = "SELECT count(*) AS c FROM mine.numbers"
    assert ask(kol, count).json() == [{"c": 1001}]
    assert ask(kol, "SELECT max(label) AS m FROM mine.numbers WHERE n = 5000").json() == [
        {"m": "late"}
    ]
    assert ask(kol, count, "--as-of", str(first.snapshot_id)).json() == [{"c": 1000}]
    then = dt.datetime.fromtimestamp(first.timestamp_ms / 1000, UTC).isoformat()
    assert ask(kol, count, "--as-of", then).json() == [{"c": 1000}]
    assert "no snapshot" in ask(kol, count, "--as-of", "2001-01-01", status=1).errors
    assert "no snapshot 77" in ask(kol, count, "--as-of", "77", status=1).errors
    ask(kol, count, "--as-of", "yesterday", status=2)
    two = "SELECT 1 FROM mine.numbers, mine.types"
    assert "one table" in ask(kol, two, "--as-of", str(first.snapshot_id), status=2).errors


def test_reals_beside_nan_are_found_by_filters(own):
    from pyiceberg.schema import Schema
    from pyiceberg.types import DoubleType, NestedField

    kol, lake = own
    schema = Schema(NestedField(1, "d", DoubleType()))
    table = lake.create_table("mine.reals", schema)
    table.append(arrow([{"d": value} for value in (math.nan, 1.5, -0.0, None)], schema))
    sql = "SELECT count(*) FILTER (WHERE isnan(d)) AS n, count(*) FILTER (WHERE d = 0) AS z "
    assert ask(kol, sql + "FROM mine.reals").json() == [{"n": 1, "z": 1}]
    assert ask(kol, "SELECT d FROM mine.reals WHERE d > 1 AND NOT isnan(d)").json() == [{"d": 1.5}]


def test_the_limit_of_memory_holds_for_a_single_value(kol, sanitized):
    if sanitized:
        pytest.skip("a sanitizer's memory is not limited")
    sql = "SELECT length(repeat('abcdefghij', 150000000))"
    result = ask(kol, sql, "--memory", "64MiB", status=1)
    assert "memory" in result.errors


def test_what_cannot_be_interrupted_ends_all_the_same(kol):
    sql = "SELECT length(lpad('x', 2000000000, 'y'))"
    started = time.monotonic()
    result = ask(kol, sql, "--timeout", "300ms", "--memory", "3GiB", status=1)
    assert "its limit of 0.3 s" in result.errors
    assert time.monotonic() - started < 15
