"""A real Trino runs every SELECT of sql/ on the very tables that kol made with DuckDB.

The rows must be equal: text, whole numbers, times, days and nulls exactly, doubles to the last bit
(each comes out of one division, so there is nothing that the order of rows could change). A table is
its SELECT cast to the declared types, less the rows that went to lake.quarantine.

Of a table whose features or scores C adds, the SELECT gives the inputs: those are compared with what
the same text gives on DuckDB, with the program's prelude, over the same tables.
"""

import datetime
import re
from collections import Counter
from decimal import Decimal

import pytest

from engines import catalog_of, fill, snippets
from support import ROOT, Kol

pytestmark = pytest.mark.long

UTC = datetime.timezone.utc
FILES = sorted((ROOT / "sql").glob("*/*.sql"))


@pytest.fixture(scope="module")
def lake(kol_bin, tmp_path_factory):
    """Demo events and hard values, made into tables."""
    runner = Kol(kol_bin, tmp_path_factory.mktemp("trino-sql") / "data")
    fill(runner, kols=3000, days=12)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def engine(trino, lake):
    properties = snippets("properties")[0].replace("/path/to/data", str(lake.data))
    trino.query("DROP CATALOG IF EXISTS same")
    trino.add_catalog("same", properties)
    return trino


def of_trino(value, kind):
    """A value of Trino's JSON as PyIceberg gives it, cast to the type of the column."""
    if value is None:
        return None
    if kind in ("long", "int"):
        number = Decimal(value)
        assert number == int(number), f"{value} is no whole number"
        return int(number)
    if kind in ("double", "float"):
        return float(value)
    if kind == "timestamptz":
        text = value.removesuffix(" UTC").removesuffix("+00:00")
        return datetime.datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
    if kind == "date":
        return datetime.date.fromisoformat(value[:10])
    if kind.startswith("decimal"):
        return Decimal(value)
    return value


def exact(value):
    """Doubles by their bits, so that equal means the same."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, list):
        return tuple(value)
    return value


def counted(rows):
    return Counter(tuple(exact(value) for value in row) for row in rows)


def quarantined(catalog, name):
    rows = catalog.load_table("lake.quarantine").scan().to_arrow().to_pylist()
    runs = catalog.load_table("lake.runs").scan().to_arrow().to_pylist()
    last = max(runs, key=lambda run: run["finished_at"])["run_id"]
    return len({row["row"] for row in rows if row["table_name"] == name and row["run_id"] == last})


def is_scored(file):
    """Whether the SELECT of a table gives the inputs of the score step."""
    text = (ROOT / "src/lake/tables.def").read_text()
    return bool(re.search(rf"^TABLE\({file.parent.name}, {file.stem}, SCORE\b", text, re.M))


def on_duckdb(catalog, sql):
    """(columns, kinds, rows) that DuckDB gives with the program's prelude."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute((ROOT / "sql/prelude.sql").read_text())
        for space in ("bronze", "silver", "gold"):
            db.execute(f"CREATE SCHEMA {space}")
        for space, name in sorted(set(re.findall(r"\b(bronze|silver|gold)\.(\w+)", sql))):
            rows = catalog.load_table(f"{space}.{name}").scan().to_arrow()
            db.register(f"of_{space}_{name}", rows)
            db.execute(f"CREATE VIEW {space}.{name} AS FROM of_{space}_{name}")
        answer = db.execute(sql).to_arrow_table()
    words = {"int64": "long", "int32": "int", "double": "double", "bool": "boolean",
             "string": "string"}  # fmt: skip
    kinds = [
        "timestamptz" if str(field.type).startswith("timestamp") else words[str(field.type)]
        for field in answer.schema
    ]
    return answer.column_names, kinds, zip(*(column.to_pylist() for column in answer.columns))


def compare_inputs(engine, catalog, file):
    """The rows of inputs that only Trino and that only DuckDB has."""
    sql = re.sub(r"--[^\n]*", "", file.read_text())
    names, kinds, ours = on_duckdb(catalog, sql)
    columns, theirs = engine.query(sql, "same")
    assert columns == names
    theirs = counted([of_trino(v, k) for v, k in zip(row, kinds, strict=True)] for row in theirs)
    ours = counted(ours)
    return theirs - ours, ours - theirs, sum(ours.values()), 0


def compare(engine, catalog, file, catalog_name="same"):
    """The rows that only Trino and that only the table has."""
    name = f"{file.parent.name}.{file.stem}"
    table = catalog.load_table(name)
    fields = table.schema().fields
    columns, theirs = engine.query(file.read_text(), catalog_name)
    assert columns == [field.name for field in fields], name
    kinds = [str(field.field_type) for field in fields]
    theirs = counted([of_trino(v, k) for v, k in zip(row, kinds, strict=True)] for row in theirs)
    arrow = table.scan().to_arrow()
    ours = counted(zip(*(arrow[field.name].to_pylist() for field in fields), strict=True))
    return theirs - ours, ours - theirs, sum(ours.values()), quarantined(catalog, name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_trino_gives_the_rows_of_the_table(engine, lake, file):
    with catalog_of(lake.data) as catalog:
        look = compare_inputs if is_scored(file) else compare
        only_trino, only_table, rows, set_aside = look(engine, catalog, file)
    assert not only_table, (sorted(only_table, key=str)[:3], sorted(only_trino, key=str)[:3])
    assert sum(only_trino.values()) == set_aside, sorted(only_trino, key=str)[:3]
    assert rows > 0
