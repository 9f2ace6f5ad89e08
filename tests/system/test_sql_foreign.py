"""`kol sql` over what others made of a lake: files without field ids, folders with the letters of a
pattern, names that the engine cannot tell apart."""

import shutil

import pytest

from engines import catalog_of
from support import Kol


def make_lake(kol_bin, data):
    (data / "lake").mkdir(parents=True)
    return Kol(kol_bin, data)


@pytest.fixture
def own(kol_bin, data):
    """An empty lake of the test's own: the runner and PyIceberg's catalog."""
    runner = make_lake(kol_bin, data)
    with catalog_of(data) as catalog:
        catalog.create_namespace("mine")
        yield runner, catalog
    runner.close()


def ask(kol, sql, *flags, **more):
    return kol("sql", sql, "--format", "json", *flags, **more)


def people():
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField, StringType

    return Schema(NestedField(1, "n", LongType()), NestedField(2, "name", StringType()))


def plain_file(path, **columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return f"file://{path}"


# ---- files without field ids ----


def test_files_without_field_ids_are_read_by_the_name_mapping(own, tmp_path):
    import pyarrow as pa

    kol, lake = own
    table = lake.create_table("mine.people", people())
    files = [
        plain_file(tmp_path / "a.parquet", n=[1, 2], name=["one", "two"]),
        plain_file(tmp_path / "b.parquet", name=["three"], n=pa.array([3], pa.int64())),
    ]
    table.add_files(files)
    table = lake.load_table("mine.people")
    table.append(pa.table({"n": [4], "name": ["four"]}))
    with table.update_schema() as update:  # the mapping learns the new name
        update.rename_column("name", "label")
    sql = "SELECT string_agg(label, ' ' ORDER BY n) AS s, sum(n) AS n FROM mine.people"
    assert ask(kol, sql).json() == [{"s": "one two three four", "n": 10}]
    assert ask(kol, "SELECT n FROM mine.people WHERE label = 'two'").json() == [{"n": 2}]
    kol("maintain", "mine.people")  # small files become one, which has ids
    assert ask(kol, sql).json() == [{"s": "one two three four", "n": 10}]


def test_files_without_field_ids_and_without_a_mapping_are_refused_by_name(own, tmp_path):
    kol, lake = own
    table = lake.create_table("mine.people", people())
    table.add_files([plain_file(tmp_path / "a.parquet", n=[1, 2], name=["one", "two"])])
    with lake.load_table("mine.people").transaction() as change:
        change.remove_properties("schema.name-mapping.default")
    for sql in ("SELECT * FROM mine.people", "SELECT count(*) FROM mine.people"):
        result = ask(kol, sql, status=1)
        assert "a.parquet" in result.errors and "schema.name-mapping.default" in result.errors
        assert result.out == b""


def test_nested_columns_without_field_ids(own, tmp_path):
    from pyiceberg.schema import Schema
    from pyiceberg.types import ListType, LongType, NestedField, StringType, StructType

    kol, lake = own
    inner = StructType(
        NestedField(10, "x", LongType()), NestedField(11, "y", StringType(), required=False)
    )
    schema = Schema(
        NestedField(1, "tags", ListType(20, StringType(), element_required=False)),
        NestedField(2, "st", inner),
    )
    table = lake.create_table("mine.nested", schema)
    st = [{"y": "why", "x": 7}]
    table.add_files([plain_file(tmp_path / "a.parquet", st=st, tags=[["a", "b"]])])
    rows = [{"tags": ["a", "b"], "st": {"x": 7, "y": "why"}}]
    assert ask(kol, "SELECT * FROM mine.nested").json() == rows
    with lake.load_table("mine.nested").update_schema() as update:
        update.rename_column("st.y", "z")
    assert "fields within a column" in ask(kol, "SELECT * FROM mine.nested", status=1).errors


# ---- folders ----


PROFILE = (
    '{"event_id":"%d","event_time":"2025-06-28T10:00:00Z","event_type":"profile",'
    '"platform":"tiktok","username":"kol %d","followers_count":%d}\n'
)


@pytest.mark.parametrize("name", ["ünï *", "what?", "br[ab]", "back\\slash", "b\\*"])
def test_a_folder_with_the_letters_of_a_pattern(kol_bin, tmp_path, name):
    """Beside it are copies that the name as a pattern would find as well."""
    data = tmp_path / name
    kol = Kol(kol_bin, data)
    for n in range(2):
        kol("log", "produce", "kol.profiles.raw", stdin=(PROFILE % (n, n, n)).encode())
        kol("ingest")
    for folder in ("ünï other", "whatx", "bra"):
        shutil.copytree(data, tmp_path / folder)
    sql = "SELECT list(followers_count ORDER BY followers_count) AS n FROM bronze.profiles"
    assert ask(kol, sql).json() == [{"n": [0, 1]}]
    kol("maintain", "bronze.profiles")
    assert ask(kol, sql).json() == [{"n": [0, 1]}]
    kol.close()


@pytest.mark.parametrize("name", ["ünï *", "a?b #c %41'd\"e"])
def test_every_command_in_such_a_folder(kol_bin, tmp_path, name):
    """All that `make run` and its user do, and nothing beside the folder or in the temporary one."""
    (tmp_path / "temp").mkdir()
    temp = {"TMPDIR": str(tmp_path / "temp")}
    kol = Kol(kol_bin, tmp_path / name / name)
    kol("demo", "--kols", "30", "--days", "3", env=temp)
    kol("ingest", env=temp)
    kol("etl", env=temp)
    kols = ask(kol, "SELECT count(*) AS n FROM gold.dim_kol WHERE is_current").json()[0]["n"]
    assert kols > 0
    kol("online", "build", "--force", env=temp)
    info = kol("online", "info", "--format", "json", env=temp).json()
    assert {copy["kols"] for copy in info} == {kols}
    kol("maintain", env=temp)
    assert "gold.dim_kol" in kol("tables", env=temp).text
    kol("backup", tmp_path / name / "saved", env=temp)
    back = Kol(kol_bin, tmp_path / name / "back")
    back("restore", tmp_path / name / "saved", env=temp)
    assert ask(back, "SELECT count(*) AS n FROM gold.dim_kol WHERE is_current").json() == [{"n": kols}]
    back("online", "build", "--force", env=temp)
    told = back("online", "build", "--force", env={"TMPDIR": str(back.data)}, status=int("?" in name))
    assert ("another name" in told.errors) == ("?" in name)
    assert list((tmp_path / "temp").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {name, "temp"}
    kol.close()
    back.close()


# ---- names ----


def rows_of(n, name):
    import pyarrow as pa

    return pa.Table.from_pylist([{"n": n, "name": name}], schema=people().as_arrow())


def test_names_with_dots_can_be_asked(own):
    kol, lake = own
    for n, name in enumerate(["a.b", ".."]):
        lake.create_table(("mine", name), people(), location=lake_folder(kol, f"odd{n}")).append(
            rows_of(n, name)
        )
        assert ask(kol, f'SELECT n FROM mine."{name}"').json() == [{"n": n}]
    assert "did you mean mine.a.b" in ask(kol, 'SELECT n FROM mine."a.c"', status=1).errors


def lake_folder(kol, name):
    return f"file://{kol.data.resolve()}/lake/mine/{name}"


def test_columns_that_sql_cannot_show_are_refused_plainly(own):
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField

    kol, lake = own
    fields = [NestedField(1, "Ab", LongType()), NestedField(2, "ab", LongType())]
    lake.create_table("mine.twice", Schema(*fields))
    lake.create_table("mine.none", Schema())
    result = ask(kol, "SELECT count(*) FROM mine.twice", status=1)
    assert "mine.twice" in result.errors and "apart" in result.errors
    assert "no columns" in ask(kol, "SELECT count(*) FROM mine.none", status=1).errors


def test_tables_that_differ_in_letters_alone_are_not_mixed_up(own):
    kol, lake = own
    lake.create_namespace("Mine")
    for n, name in enumerate(["mine.t", "Mine.t"]):
        lake.create_table(name, people(), location=lake_folder(kol, f"t{n}")).append(
            rows_of(n, name)
        )
    assert ask(kol, "SELECT n FROM mine.t").json() == [{"n": 0}]
    assert ask(kol, 'SELECT n FROM "Mine".t').json() == [{"n": 1}]
    both = ask(kol, 'SELECT * FROM mine.t, "Mine".t AS u', status=1)
    assert "mine.t" in both.errors and "Mine.t" in both.errors
    assert "Mine.t" in ask(kol, "SELECT * FROM MINE.t", status=1).errors


# ---- versions ----


def test_as_of_the_current_snapshot_has_its_own_columns(own):
    kol, lake = own
    table = lake.create_table("mine.people", people())
    table.append(rows_of(1, "one"))
    snapshot = str(table.current_snapshot().snapshot_id)
    with table.update_schema() as update:
        update.rename_column("name", "label")
    assert ask(kol, "SELECT * FROM mine.people").json() == [{"n": 1, "label": "one"}]
    for as_of in (snapshot, "2999-01-01"):
        rows = ask(kol, "SELECT * FROM mine.people", "--as-of", as_of).json()
        assert rows == [{"n": 1, "name": "one"}]
    for as_of in ("0", "-1", "-5"):
        result = ask(kol, "SELECT * FROM mine.people", f"--as-of={as_of}", status=2)
        assert "no snapshot" in result.errors


# ---- several tables ----


def profile_of(kol, n):
    kol("log", "produce", "kol.profiles.raw", stdin=(PROFILE % (n, n, n)).encode())
    kol("ingest")


COUNTS = (
    "SELECT (SELECT count(*) FROM silver.kol_profiles) AS silver, "
    "(SELECT count(*) FROM gold.dim_kol) AS gold"
)


def test_several_tables_are_those_of_the_last_complete_run(own):
    import pyarrow as pa

    kol, lake = own
    profile_of(kol, 1)
    kol("etl")
    profile_of(kol, 2)
    kol("etl", "silver.kol_profiles")  # some tables only: no complete run
    assert ask(kol, COUNTS).json() == [{"silver": 1, "gold": 1}]
    assert ask(kol, COUNTS, "--newest").json() == [{"silver": 2, "gold": 1}]
    silver = "SELECT count(*) AS n FROM silver.kol_profiles"
    assert ask(kol, silver).json() == [{"n": 2}]

    runs = lake.load_table("lake.runs")  # of a clock that was ahead
    late = runs.scan().to_arrow().to_pylist()[0]
    late |= {"run_id": "late", "finished_at": late["finished_at"].replace(year=2999)}
    late["snapshots"] = '{"silver.kol_profiles":1}'
    runs.append(pa.Table.from_pylist([late], schema=runs.schema().as_arrow()))
    kol("etl")
    assert ask(kol, COUNTS).json() == [{"silver": 2, "gold": 2}]
