"""Other engines read every table of the lake as it is: rows, names, bounds, history.

One small lake (engines.fill) with hard values in it, read by PyIceberg and DuckDB's own Iceberg
reader here, by Spark and Trino in the long tests. Nothing in this file changes that lake.
"""

import datetime
import decimal
import json
import math

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import (
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNaN,
    IsNull,
    LessThan,
    LessThanOrEqual,
    NotEqualTo,
    NotNaN,
    NotNull,
    StartsWith,
)
from pyiceberg.types import ListType

from engines import catalog_of, foreign_duckdb, load_iceberg, snippets, table_names
from support import ROOT

pytestmark = pytest.mark.release_only  # what is tested here is written down already
UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def catalog(foreign_lake):
    with catalog_of(foreign_lake.data) as opened:
        yield opened


def dotted(identifier):
    return ".".join(identifier)


def listed(kol):
    """table -> what `kol tables` says of it"""
    return {row["table"]: row for row in kol("tables", "--format", "json").json()}


def select(kol, sql):
    return kol("sql", sql, "--format", "json").json()


# ---- the same rows, exactly ----


def canonical(value):
    """A value as text that two sides write equally: times in microseconds of UTC, doubles by their
    bits."""
    if isinstance(value, datetime.datetime):
        return f"t{round((value - datetime.datetime(1970, 1, 1, tzinfo=UTC)) / datetime.timedelta(microseconds=1))}"
    if isinstance(value, float):
        return f"f{value.hex()}"
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    return value


def from_kol(value, field):
    """A value of `kol sql --format json` as Python has it, by the type of its column."""
    kind = str(field.field_type)
    if value is None:
        return None
    if kind == "timestamptz":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00").replace(" ", "T"))
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind in ("double", "float"):
        return float(value)
    if kind.startswith("decimal"):
        return decimal.Decimal(str(value))
    return value


def sorted_rows(rows):
    return sorted(json.dumps(row, ensure_ascii=True) for row in rows)


def test_every_declared_table_is_in_the_catalog(foreign_lake, catalog):
    names = {dotted(name) for name in table_names(catalog)}
    assert names == set(listed(foreign_lake))
    declared = {f"{path.parent.name}.{path.stem}" for path in (ROOT / "sql").glob("*/*.sql")}
    assert declared <= names
    assert {f"bronze.{name}" for name in ("discovery", "profiles", "videos", "comments", "products")} <= names
    assert [name for name in names if listed(foreign_lake)[name]["rows"]] != []


def test_pyiceberg_reads_the_same_values(foreign_lake, catalog):
    """Text, whole numbers, doubles to the last bit, times, days, lists and nulls, row by row."""
    compared = 0
    for name in table_names(catalog):
        table = catalog.load_table(name)
        fields = {field.name: field for field in table.schema().fields}
        theirs = table.scan().to_arrow().to_pylist()
        ours = select(foreign_lake, f"SELECT * FROM {dotted(name)}")
        assert sorted_rows(
            {key: canonical(value) for key, value in row.items()} for row in theirs
        ) == sorted_rows(
            {key: canonical(from_kol(value, fields[key])) for key, value in row.items()}
            for row in ours
        ), dotted(name)
        compared += len(ours)
    assert compared > 5000


def test_hard_values_come_through_the_whole_way(foreign_lake, catalog):
    """What was put into the log stands in bronze: text of every kind, the greatest integer, -0.0."""
    from engines import HARD_NAMES, HARD_NUMBERS

    profiles = catalog.load_table("bronze.profiles").scan("event_id LIKE 'edge-%'").to_arrow()
    found = {row["event_id"]: row for row in profiles.to_pylist()}
    for number, name in enumerate(HARD_NAMES):
        assert found[f"edge-{number}"]["username"] == name.strip()
        assert found[f"edge-{number}"]["bio"] == name * 3
    assert found["edge-50"]["followers_count"] == 2**63 - 1
    assert found["edge-51"]["bio"] == "" and found["edge-51"]["nickname"] is None
    assert found["edge-51"]["event_time"] == datetime.datetime(
        2025, 6, 23, 10, 11, 12, 51, tzinfo=UTC
    )
    products = catalog.load_table("bronze.products").scan("event_id LIKE 'edge-%'").to_arrow()
    prices = {row["event_id"]: row["price"] for row in products.to_pylist()}
    for number, price in enumerate(HARD_NUMBERS):
        # An event says -0.0 as 0: see test_nan_and_minus_zero for tables that may hold it.
        assert prices[f"edge-{60 + number}"].hex() == (price + 0.0).hex()
    videos = catalog.load_table("bronze.videos").scan("event_id LIKE 'edge-%'").to_arrow()
    tags = {row["event_id"]: row["tags"] for row in videos.to_pylist()}
    assert tags["edge-81"] == ["mùa hè", "x" * 300]  # an empty tag says nothing


def test_schemas_carry_ids_docs_and_what_must_be_there(foreign_lake, catalog):
    for name in table_names(catalog):
        table = catalog.load_table(name)
        shown = select_schema(foreign_lake, dotted(name))
        fields = table.schema().fields
        assert [field.name for field in fields] == [row["column"] for row in shown]
        assert all(field.doc for field in fields), dotted(name)
        ids = [field.field_id for field in fields]
        ids += [field.field_type.element_id for field in fields if isinstance(field.field_type, ListType)]
        assert len(set(ids)) == len(ids) and max(ids) <= table.metadata.last_column_id
        for file in data_files(table):
            schema = pq.read_schema(file)
            for field in fields:
                if field.name in schema.names:
                    meta = schema.field(field.name).metadata
                    assert meta[b"PARQUET:field_id"] == str(field.field_id).encode()


def select_schema(kol, table):
    return kol("tables", table, "--format", "json").json()


def data_files(table):
    return [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]


def test_partitions_hold_the_rows_of_their_day(catalog):
    partitioned = 0
    for name in table_names(catalog):
        table = catalog.load_table(name)
        spec = table.spec()
        if not spec.fields or str(spec.fields[0].transform) != "day":
            continue
        source = table.schema().find_field(spec.fields[0].source_id).name
        for task in table.scan().plan_files():
            day = task.file.partition[0]
            days = pc.cast(
                pq.read_table(task.file.file_path.removeprefix("file://"))[source], pa.date32()
            )
            assert set(pc.unique(days).cast(pa.int32()).to_pylist()) == {day}, task.file.file_path
            partitioned += 1
    assert partitioned > 20
    bronze = {dotted(name) for name in table_names(catalog) if name[0] == "bronze"}
    assert all(str(catalog.load_table(name).spec().fields[0].transform) == "day" for name in bronze)


# ---- history ----


def test_history_and_time_travel(foreign_lake, catalog):
    """Every older snapshot is read as it was: the rows that its summary tells of."""
    travelled = 0
    for name in table_names(catalog):
        table = catalog.load_table(name)
        assert [entry.snapshot_id for entry in table.history()][-1:] == [
            table.current_snapshot().snapshot_id
        ] if table.current_snapshot() else True
        for snapshot in table.snapshots():
            told = int(snapshot.summary["total-records"])
            rows = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows
            assert rows == told, (name, snapshot)
            travelled += snapshot.snapshot_id != table.current_snapshot().snapshot_id
    assert travelled >= 5
    profiles = catalog.load_table("bronze.profiles")
    first = profiles.history()[0]
    sql = "SELECT count(*) AS n FROM bronze.profiles"
    ours = foreign_lake("sql", sql, "--as-of", str(first.snapshot_id), "--format", "json").json()
    assert ours == [{"n": profiles.scan(snapshot_id=first.snapshot_id).to_arrow().num_rows}]
    assert profiles.scan().to_arrow().num_rows > ours[0]["n"]


# ---- statistics ----


def truth(table):
    """All rows, each with the number of its file: [(path, rows)]."""
    return [(task.file.file_path, read_file(task.file, table)) for task in table.scan().plan_files()]


def read_file(file, table):
    rows = pq.read_table(file.file_path.removeprefix("file://"))
    missing = [field for field in table.schema().fields if field.name not in rows.schema.names]
    for field in missing:
        rows = rows.append_column(field.name, pa.nulls(rows.num_rows))
    return rows


def filters_for(name, column, values):
    """(filter of PyIceberg, the same on an Arrow column) around some values of a column."""
    pairs = [
        (IsNull(name), lambda rows: pc.is_null(rows)),
        (NotNull(name), lambda rows: pc.is_valid(rows)),
    ]
    if pa.types.is_floating(column.type):
        pairs.append((IsNaN(name), lambda rows: pc.is_nan(rows)))
        pairs.append((NotNaN(name), lambda rows: pc.invert(pc.fill_null(pc.is_nan(rows), False))))
    for value in values:
        if isinstance(value, float) and math.isnan(value):
            continue
        scalar = pa.scalar(value, column.type)
        pairs += [
            (EqualTo(name, value), lambda rows, v=scalar: pc.equal(rows, v)),
            (LessThan(name, value), lambda rows, v=scalar: pc.less(rows, v)),
            (LessThanOrEqual(name, value), lambda rows, v=scalar: pc.less_equal(rows, v)),
            (GreaterThan(name, value), lambda rows, v=scalar: pc.greater(rows, v)),
            (GreaterThanOrEqual(name, value), lambda rows, v=scalar: pc.greater_equal(rows, v)),
            (NotEqualTo(name, value), lambda rows, v=scalar: pc.not_equal(rows, v)),
        ]
        if isinstance(value, str) and value:
            start = value[:16] if len(value) > 16 else value
            pairs.append((StartsWith(name, start), lambda rows, v=start: pc.starts_with(rows, v)))
            pairs.append((In(name, {value, "no such"}), lambda rows, v=scalar: pc.equal(rows, v)))
    return pairs


def some_values(column, count):
    """Values of a column spread over its order, the least and the greatest among them."""
    known = pc.unique(column.drop_null())
    if pa.types.is_boolean(known.type):
        return known.to_pylist()
    ordered = known.take(pc.sort_indices(known)).to_pylist()
    if len(ordered) <= count:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]


def check_filters(table, count):
    """No file that holds a row of the answer is ruled out. Returns how many filters were tried and
    how many of them ruled a file out."""
    files = truth(table)
    tried = pruned = 0
    for field in table.schema().fields:
        if not field.field_type.is_primitive or not files:
            continue
        columns = {path: rows[field.name] for path, rows in files}
        chunks = [chunk for column in columns.values() for chunk in column.chunks]
        kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
        if not kinds:
            continue
        kind = kinds.pop()
        whole = pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
        for row_filter, matches in filters_for(field.name, whole, some_values(whole, count)):
            planned = {task.file.file_path for task in table.scan(row_filter).plan_files()}
            for path, column in columns.items():
                hit = pc.any(matches(column.cast(kind))).as_py()
                assert not hit or path in planned, (table.name(), row_filter, path)
            tried += 1
            pruned += len(planned) < len(files)
    return tried, pruned


def test_bounds_never_rule_out_a_file_with_an_answer(catalog):
    tried = pruned = 0
    for name in ("bronze.profiles", "bronze.products", "silver.kol_daily"):
        some, ruled_out = check_filters(catalog.load_table(name), 3)
        tried, pruned = tried + some, pruned + ruled_out
    assert tried > 500 and pruned > tried / 10


@pytest.mark.long
def test_bounds_never_rule_out_a_file_with_an_answer_in_any_table(catalog):
    tried = sum(check_filters(catalog.load_table(name), 9)[0] for name in table_names(catalog))
    assert tried > 5000


def test_a_filter_gives_the_rows_that_filtering_everything_gives(catalog):
    """The same through PyIceberg's whole path, with names that bounds cut and times at the edge."""
    from engines import HARD_NAMES

    table = catalog.load_table("bronze.profiles")
    everything = table.scan().to_arrow()
    moment = datetime.datetime(2025, 6, 23, 10, 11, 12, 51, tzinfo=UTC)
    cases = [(EqualTo("username", name), pc.equal(everything["username"], name)) for name in HARD_NAMES]
    cases += [
        (GreaterThan("username", "~" * 16), pc.greater(everything["username"], "~" * 16)),
        (EqualTo("event_time", moment), pc.equal(everything["event_time"], moment)),
        (LessThan("event_time", moment), pc.less(everything["event_time"], moment)),
        (EqualTo("followers_count", 2**63 - 1), pc.equal(everything["followers_count"], 2**63 - 1)),
        (EqualTo("verified", True), pc.equal(everything["verified"], True)),
    ]
    for row_filter, mask in cases:
        got = table.scan(row_filter).to_arrow()
        want = everything.filter(mask)
        key = [("log_partition", "ascending"), ("log_offset", "ascending")]
        assert got.sort_by(key).to_pylist() == want.sort_by(key).to_pylist(), row_filter
        assert want.num_rows > 0, row_filter


def test_filters_really_rule_files_out(catalog):
    table = catalog.load_table("bronze.videos")
    everything = len(list(table.scan().plan_files()))
    assert everything > 5
    day = "event_time >= '2025-06-27T00:00:00+00:00' AND event_time < '2025-06-28T00:00:00+00:00'"
    assert 0 < len(list(table.scan(day).plan_files())) <= everything / 3
    assert list(table.scan("view_count < 0").plan_files()) == []
    some_kol = table.scan().to_arrow()["username"][0].as_py()
    assert len(list(table.scan(EqualTo("username", some_kol)).plan_files())) < everything
    assert list(table.scan("event_time < '2020-01-01T00:00:00+00:00'").plan_files()) == []


OWN_TABLE = """
SELECT
    platform,
    kol_id,
    CASE WHEN followers_count > 100000 THEN CAST('NaN' AS DOUBLE)
        WHEN followers_count > 5000 THEN CAST('-0.0' AS DOUBLE)
        WHEN followers_count > 3000 THEN CAST('Infinity' AS DOUBLE)
        ELSE CAST(followers_count AS DOUBLE) END AS number,
    CAST(followers_count AS DECIMAL(20, 3)) AS exact,
    CAST(updated_at AS DATE) AS day,
    followers_count > 1000 AS known
FROM silver.kol_profiles
"""


def test_nan_and_minus_zero_in_a_table_of_ones_own(kol, tmp_path):
    """A user's SELECT may give every type: NaN lies in no bounds, both zeros lie in both."""
    folder = tmp_path / "sql/gold"
    folder.mkdir(parents=True)
    (folder / "own.sql").write_text(OWN_TABLE)
    kol("demo", "--kols", "200", "--days", "2")
    kol("ingest")
    kol("etl", "--lake-sql", tmp_path / "sql")
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("gold.own")
        rows = table.scan().to_arrow()
        numbers = [value for value in rows["number"].to_pylist() if value is not None]
        assert any(map(math.isnan, numbers)) and math.inf in numbers
        assert "-0x0.0p+0" in {value.hex() for value in numbers}
        for task in table.scan().plan_files():
            of = {field.name: field.field_id for field in table.schema().fields}
            nans = sum(map(math.isnan, numbers))
            assert task.file.nan_value_counts.get(of["number"]) == nans
        for text, mask in (
            ("number = 0", pc.equal(rows["number"], 0.0)),
            ("number >= 0", pc.greater_equal(rows["number"], 0.0)),
            ("number IS NAN", pc.is_nan(rows["number"])),
            (GreaterThan("number", 1e300), pc.greater(rows["number"], 1e300)),
            ("exact > 0.001", pc.greater(rows["exact"], decimal.Decimal("0.001"))),
            ("day >= '2025-06-01'", pc.greater_equal(rows["day"], datetime.date(2025, 6, 1))),
            ("known = true", pc.equal(rows["known"], True)),
        ):
            got = table.scan(text).to_arrow().num_rows
            assert got == rows.filter(mask).num_rows, text
        assert check_filters(table, 9)[0] > 100


# ---- DuckDB ----


def test_duckdb_reads_every_table_by_its_folder(foreign_lake, catalog):
    """It finds the newest metadata through version-hint.text."""
    with foreign_duckdb() as connection:
        for name in table_names(catalog):
            table = catalog.load_table(name)
            folder = foreign_lake.data / "lake" / name[0] / name[1]
            assert (folder / "metadata/version-hint.text").is_file()
            theirs = connection.execute(f"SELECT * FROM iceberg_scan('{folder}')").to_arrow_table()
            mine = table.scan().to_arrow()
            assert theirs.column_names == mine.column_names
            assert sorted_rows(
                {key: canonical(value) for key, value in row.items()} for row in theirs.to_pylist()
            ) == sorted_rows(
                {key: canonical(value) for key, value in row.items()} for row in mine.to_pylist()
            ), dotted(name)


# ---- the page ----


def test_the_snippet_for_pyiceberg_runs_as_printed(foreign_lake, catalog, capsys):
    code = snippets("python")[0]
    assert '"data/lake"' in code and "SqlCatalog" in code
    space = {}
    exec(code.replace("data/lake", f"{foreign_lake.data}/lake"), space)  # noqa: S102
    space["catalog"].close()
    wanted = select(
        foreign_lake, "SELECT count(*) AS n FROM silver.kol_profiles WHERE platform = 'tiktok'"
    )
    assert capsys.readouterr().out.split() == [str(wanted[0]["n"])]
    assert wanted[0]["n"] > 0


def platforms(kol):
    rows = select(kol, "SELECT platform, count(*) AS n FROM silver.kol_profiles GROUP BY platform")
    return sorted((row["platform"], row["n"]) for row in rows)


def test_the_snippet_for_duckdb_runs_as_printed(foreign_lake):
    import duckdb

    code = snippets("sql")[0]
    assert code.startswith("INSTALL iceberg;\nLOAD iceberg;\n")
    code = code.replace("INSTALL iceberg;\nLOAD iceberg;\n", load_iceberg())
    with duckdb.connect(config={"threads": 1}) as connection:
        answer = connection.execute(code.replace("data/lake", f"{foreign_lake.data}/lake"))
        assert sorted(answer.fetchall()) == platforms(foreign_lake)


@pytest.mark.long
def test_the_snippet_for_spark_runs_as_printed(foreign_lake, spark):
    code = snippets("python")[1]
    jars = (ROOT / "tests/services/spark.sh").read_text() + (ROOT / "tests/services/common.sh").read_text()
    page = (ROOT / "docs/parts/lake.md").read_text()
    for jar in ("org.apache.iceberg:iceberg-spark-runtime-", "org.xerial:sqlite-jdbc:"):
        name = page[page.index(jar) :].split("`")[0]
        assert name + ":jar" in jars, "the page names the jars that the tests use"
    shown = spark.run(code.replace("data/lake", f"{foreign_lake.data}/lake"))
    rows = [line.strip("|").split("|") for line in shown.splitlines() if line.startswith("|")][1:]
    assert sorted((name.strip(), int(n)) for name, n in rows) == platforms(foreign_lake)


@pytest.fixture(scope="module")
def trino_lake(trino, foreign_lake):
    """Trino with the catalog of the page's properties, under a name of its own."""
    properties = snippets("properties")[0].replace("/path/to/data", str(foreign_lake.data))
    trino.query("DROP CATALOG IF EXISTS kol")
    trino.add_catalog("kol", properties)
    return trino


@pytest.mark.long
def test_the_snippet_for_trino_runs_as_printed(foreign_lake, trino_lake):
    page = (ROOT / "docs/parts/lake.md").read_text()
    assert "SELECT * FROM kol.silver.kol_profiles" in page
    _, rows = trino_lake.query("SELECT * FROM kol.silver.kol_profiles")
    assert len(rows) == sum(n for _, n in platforms(foreign_lake))


# ---- checksums by Spark and Trino ----

def asked(fields, engine):
    """The SELECT list: a count of rows, then the measures of each column."""
    given = ["count(*)"]
    for field in fields:
        kind = "list" if isinstance(field.field_type, ListType) else str(field.field_type)
        column = f'"{field.name}"' if engine == "trino" else f"`{field.name}`"
        text = (lambda x: f"CAST({x} AS VARCHAR)") if engine == "trino" else (lambda x: f"CAST({x} AS STRING)")
        given.append(f"count({column})")
        if kind in ("long", "int"):
            given += [f"min({column})", f"max({column})"]
            given.append(text(f"sum(CAST({column} AS DECIMAL(38, 0)))"))
        elif kind == "string":
            given += [f"min({column})", f"max({column})", f"sum(length({column}))"]
        elif kind == "double":
            given += [f"min({column})", f"max({column})"]
        elif kind == "boolean":
            given.append(f"sum(CASE WHEN {column} THEN 1 ELSE 0 END)")
        elif kind == "date":
            given += [text(f"min({column})"), text(f"max({column})")]
        elif kind == "timestamptz" and engine == "trino":
            given += [
                f"CAST(round(to_unixtime({way}({column})) * 1e6) AS BIGINT)" for way in ("min", "max")
            ]
        elif kind == "timestamptz":
            given += [f"unix_micros({way}({column}))" for way in ("min", "max")]
        elif kind == "list":
            given.append(f"sum({'cardinality' if engine == 'trino' else 'size'}({column}))")
        else:
            raise AssertionError(f"say how to measure {kind}")
    return given


def measured(table):
    """The same measures of what PyIceberg reads."""
    rows = table.scan().to_arrow()
    given = [rows.num_rows]
    for field in table.schema().fields:
        kind = "list" if isinstance(field.field_type, ListType) else str(field.field_type)
        column = rows[field.name]
        known = column.drop_null()
        given.append(len(known))
        values = known.to_pylist()
        least, most = (min(values), max(values)) if values and kind != "list" else (None, None)
        if kind in ("long", "int"):
            given += [least, most, str(sum(values)) if values else None]
        elif kind == "string":
            # By bytes of UTF-8, which is the order of code points.
            given += [least, most, sum(map(len, values)) if values else None]
        elif kind == "double":
            given += [least, most]
        elif kind == "boolean":
            given.append(sum(values) if len(column) else None)
        elif kind == "date":
            given += [str(least) if values else None, str(most) if values else None]
        elif kind == "timestamptz":
            given += [
                int(canonical(value)[1:]) if values else None for value in (least, most)
            ]
        else:
            given.append(sum(map(len, values)) if values else None)
    return given


@pytest.mark.long
def test_trino_reads_every_table_with_equal_checksums(catalog, trino_lake):
    for name in table_names(catalog):
        table = catalog.load_table(name)
        given = ", ".join(asked(table.schema().fields, "trino"))
        _, rows = trino_lake.query(f"SELECT {given} FROM kol.{dotted(name)}")
        assert rows == [measured(table)], dotted(name)


SPARK_READS = """
import json
from pyspark.sql import SparkSession

lake, queries = LAKE, QUERIES
spark = (
    SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.catalog.kol", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.kol.type", "jdbc")
    .config("spark.sql.catalog.kol.uri", f"jdbc:sqlite:{lake}/catalog.db")
    .config("spark.sql.catalog.kol.warehouse", f"file://{lake}")
    .getOrCreate()
)
for name, query in queries.items():
    print("ROW", json.dumps([name, list(spark.sql(query).collect()[0])]), flush=True)
"""


@pytest.mark.long
def test_spark_reads_every_table_with_equal_checksums(foreign_lake, catalog, spark):
    queries = {
        dotted(name): f"SELECT {', '.join(asked(catalog.load_table(name).schema().fields, 'spark'))}"
        f" FROM kol.{dotted(name)}"
        for name in table_names(catalog)
    }
    code = SPARK_READS.replace("LAKE", repr(f"{foreign_lake.data}/lake"))
    shown = spark.run(code.replace("QUERIES", repr(queries)))
    answers = dict(json.loads(line[4:]) for line in shown.splitlines() if line.startswith("ROW "))
    for name in table_names(catalog):
        table = catalog.load_table(name)
        assert answers[dotted(name)] == measured(table), dotted(name)
