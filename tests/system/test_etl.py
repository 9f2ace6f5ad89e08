"""`kol etl`: bronze to silver to gold as one graph that skips, repairs and never shows half a run."""

import json
import signal

import pytest

from engines import catalog_of, table_names
from support import ROOT, Kol, wait_until

KOLS = 100


def lake(kol):
    """A small world in bronze."""
    kol("demo", "--kols", KOLS, "--days", 5, "--seed", 7)
    kol("ingest")


def made(kol, *args, **more):
    """table -> how it was made, rows"""
    rows = kol("etl", *args, "--format", "json", **more).json()
    return {row["table"]: (row["made"], row["rows"]) for row in rows}


def select(kol, sql):
    return kol("sql", sql, "--format", "json").json()


def contents(kol, tables):
    """All rows of each table as sorted text."""
    return {
        table: sorted(kol("sql", f"SELECT * FROM {table}", "--format", "csv").out.splitlines())
        for table in tables
    }


def sql_tables():
    return sorted(
        f"{path.parent.name}.{path.stem}" for path in (ROOT / "sql").glob("*/*.sql")
    )


@pytest.fixture(scope="module")
def whole(kol_bin, tmp_path_factory):
    """(kol, how each table was made) of a lake that tests only read, or make again."""
    runner = Kol(kol_bin, tmp_path_factory.mktemp("etl") / "data")
    lake(runner)
    yield runner, made(runner)
    runner.close()


def test_every_select_becomes_a_table(whole):
    kol, tables = whole
    assert sorted(tables) == sql_tables()
    assert all(how == "whole" for how, _ in tables.values())
    assert tables["silver.kol_profiles"][1] == KOLS
    listed = {row["table"]: row for row in kol("tables", "--format", "json").json()}
    for table, (_, rows) in tables.items():
        assert listed[table]["rows"] == rows
        assert select(kol, f"SELECT count(*) AS n FROM {table}") == [{"n": rows}]


def test_a_second_run_changes_nothing(whole):
    kol, _ = whole
    before = kol("tables", "--format", "json").out
    again = made(kol)
    assert all(how == "unchanged" for how, _ in again.values())
    kol("ingest")
    assert all(how == "unchanged" for how, _ in made(kol).values())
    assert kol("tables", "--format", "json").out == before


def test_a_full_run_gives_the_same_rows(whole):
    kol, _ = whole
    first = contents(kol, sql_tables())
    assert all(how == "whole" for how, _ in made(kol, "--full").values())
    assert contents(kol, sql_tables()) == first
    assert all(first[table] for table in ("silver.kol_daily", "gold.kol_rankings"))


def test_days_made_anew_alone_give_what_a_full_run_gives(kol):
    lake(kol)
    made(kol)
    events = [
        {
            "event_time": f"2025-06-2{day}T12:00:00Z",
            "event_type": "profile",
            "platform": "tiktok",
            "username": f"late_{number}",
            "followers_count": 1000 * number + day,
        }
        for day in (5, 6)
        for number in range(3)
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    kol("log", "produce", "kol.profiles.raw", stdin=lines)
    kol("ingest")
    how = made(kol)
    assert how["silver.kol_daily"][0] == "in part"
    assert how["silver.kol_profiles"] == ("whole", KOLS + 3)
    in_part = contents(kol, sql_tables())
    made(kol, "--full")
    assert contents(kol, sql_tables()) == in_part


@pytest.mark.release_only
def test_the_same_events_a_second_time_change_no_row(kol, tmp_path):
    lake(kol)
    made(kol)
    first = contents(kol, sql_tables())
    for topic in ("kol.profiles.raw", "kol.videos.raw", "kol.products.raw"):
        lines = kol("log", "tail", topic, "--from", "start", "--values").out
        kol("log", "produce", topic, stdin=lines)
    kol("ingest")
    made(kol)
    assert contents(kol, sql_tables()) == first


def test_rows_of_a_run_say_which_snapshots_belong_together(whole):
    kol, _ = whole
    run = select(kol, "SELECT * FROM lake.runs ORDER BY finished_at DESC LIMIT 1")[0]
    named = json.loads(run["snapshots"])
    listed = {row["table"]: row for row in kol("tables", "--format", "json").json()}
    for table in sql_tables():
        # An empty table that was never written has no snapshot.
        assert named[table] == (listed[table]["snapshot"] or -1)
    assert {name for name in named if name.startswith("bronze.")}


def test_only_what_was_asked_for_and_what_it_needs_is_made(whole):
    kol, _ = whole
    tables = made(kol, "gold.dim_platform", "silver.kol_daily")
    assert "silver.kol_daily" in tables and "gold.kol_rankings" not in tables
    result = kol("etl", "gold.dim_plattform", status=1)
    assert "did you mean gold.dim_platform?" in result.errors


def test_a_users_own_select_becomes_a_table(kol, tmp_path):
    lake(kol)
    folder = tmp_path / "sql"
    (folder / "gold").mkdir(parents=True)
    own = folder / "gold" / "my_platforms.sql"
    own.write_text(
        "SELECT platform, count(*) AS kols,\n"
        "    sum(CAST(followers_count AS DECIMAL(38, 0))) AS followers\n"
        "FROM silver.kol_profiles GROUP BY platform\n"
    )
    tables = made(kol, env={"KOL_LAKE_SQL": str(folder)})
    assert tables["gold.my_platforms"][0] == "whole"
    rows = select(kol, "SELECT platform, kols FROM gold.my_platforms ORDER BY platform")
    assert sum(row["kols"] for row in rows) == KOLS
    assert made(kol, env={"KOL_LAKE_SQL": str(folder)})["gold.my_platforms"][0] == "unchanged"
    own.write_text("SELECT platform FROM silver.kol_profiles GROUP BY platform\n")
    assert made(kol, env={"KOL_LAKE_SQL": str(folder)})["gold.my_platforms"][0] == "whole"


@pytest.mark.parametrize(
    "sql, says",
    [
        ("SELECT 1 / 2 AS half", "/"),
        ("SELECT platform FROM silver.no_such_table", "no such table"),
        ("SELECT a.platform FROM gold.mine AS a", "circle"),
        ("SELECT platform FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT platform FORM silver.kol_profiles", "mine.sql"),
    ],
)
def test_a_select_that_cannot_stand_is_refused_with_its_place(kol, tmp_path, sql, says):
    lake(kol)
    folder = tmp_path / "sql"
    (folder / "gold").mkdir(parents=True)
    (folder / "gold" / "mine.sql").write_text(sql + "\n")
    result = kol("etl", status=1, env={"KOL_LAKE_SQL": str(folder)})
    assert says in result.errors and "mine.sql" in result.errors, result


def test_two_runs_at_once_are_not_allowed(whole):
    import fcntl

    kol, _ = whole
    with open(kol.data / "lake" / "etl.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another `kol etl` runs" in kol("etl", status=1).errors
    made(kol)


def test_a_reader_of_the_last_run_never_sees_a_mix(whole):
    """While runs replace tables, what lake.runs names stays readable."""
    kol, _ = whole
    run = select(kol, "SELECT snapshots FROM lake.runs ORDER BY finished_at DESC LIMIT 1")[0]
    named = json.loads(run["snapshots"])
    before = kol("sql", "SELECT * FROM silver.kol_profiles ORDER BY platform, kol_id").out
    for _ in range(3):
        made(kol, "--full")
    as_then = kol(
        "sql",
        "SELECT * FROM silver.kol_profiles ORDER BY platform, kol_id",
        "--as-of",
        named["silver.kol_profiles"],
    ).out
    assert as_then == before


def test_tables_tells_schema_snapshots_files_quality_and_lineage(whole):
    kol, _ = whole
    rows = kol("tables", "silver.kol_profiles", "--format", "json").json()
    columns = {row["column"]: row for row in rows}
    assert columns["kol_id"]["required"] and columns["kol_id"]["nulls"] == 0
    assert columns["kol_id"]["meaning"]
    snapshots = kol("tables", "silver.kol_profiles", "--snapshots", "--format", "json").json()
    assert {row["rows"] for row in snapshots} == {KOLS}
    files = kol("tables", "bronze.profiles", "--files", "--format", "json").json()
    assert {row["partition"] for row in files} >= {"event_time_day=2025-06-29"}
    quality = kol("tables", "--quality", "--format", "json").json()
    assert {"required", "key"} <= {row["rule"] for row in quality}
    lineage = kol("tables", "--lineage", "--format", "json").json()
    made_from = {(row["table"], row["made_from"]): row for row in lineage}
    assert made_from[("silver.kol_profiles", "bronze.profiles")]["is_current"]
    assert any(row["table"] == "bronze.profiles" for row in lineage)
    assert "did you mean silver.kol_profiles" in kol("tables", "silver.kol_profile", status=1).errors
    assert kol("tables", "--snapshots", status=2).errors


def test_an_interrupted_run_goes_on_where_it_stopped(kol):
    lake(kol)
    running = kol.start("etl", "--format", "json")
    first = running.process.stdout.readline()
    running.signal(signal.SIGINT)
    result = running.wait()
    if result.status == 130:
        how = made(kol)
        assert how[json.loads(first)["table"]][0] == "unchanged"
    else:
        assert result.status == 0  # it was done before the signal came
    wait_until(lambda: select(kol, "SELECT count(*) AS n FROM lake.runs") == [{"n": 1}], "a run")


POINTS = [
    "etl.written",
    "etl.committed",
    "etl.run",
    "commit.manifest",
    "commit.list",
    "commit.metadata",
    "commit.swap",
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_a_rerun_ends_whole(kol, kol_fail, whole, point):
    """The same world as `whole`, so the rows must be the same in the end."""
    lake(kol)
    for hit in (1,) if point == "etl.run" else (5, 1):
        result = kol_fail("etl", env={"KOL_TEST_FAILPOINT": f"{point}:{hit}"}, status=None)
        assert result.status in (-signal.SIGKILL, 0), result
    assert result.status == -signal.SIGKILL
    made(kol)
    assert select(kol, "SELECT count(*) AS n FROM lake.runs") == [{"n": 1}]
    tables = ["silver.kol_profiles", "silver.kol_daily", "gold.fact_kol_performance"]
    assert contents(kol, tables) == contents(whole[0], tables)


def files_of(kol):
    """Data files of all tables that lie there, and those that their newest versions list."""
    there = {path for path in (kol.data / "lake").rglob("*.parquet")}
    with catalog_of(kol.data) as catalog:
        listed = {
            task.file.file_path.removeprefix("file://")
            for name in table_names(catalog)
            for task in catalog.load_table(name).scan().plan_files()
        }
    return {str(path.resolve()) for path in there}, listed


def test_a_table_that_fails_beside_another_is_made_again_alone(kol, kol_fail, whole):
    """Two at a time share the engine's memory: what is too little for both may do for one."""
    lake(kol)
    failing = {"KOL_TEST_FAILURE": "etl.written:3"}
    result = kol_fail("etl", "--lake-threads", "2", "--format", "json", env=failing)
    assert result.errors.count("made again, one table at a time") == 1
    reports = result.json()
    assert sorted(row["table"] for row in reports) == sql_tables()
    assert {row["made"] for row in reports} == {"whole"}
    assert select(kol, "SELECT count(*) AS n FROM lake.runs") == [{"n": 1}]
    tables = ["silver.kol_profiles", "silver.kol_daily", "gold.fact_kol_performance"]
    assert contents(kol, tables) == contents(whole[0], tables)
    there, listed = files_of(kol)
    assert there == listed, "what the first attempt wrote is gone"


@pytest.mark.parametrize("threads, again", [("2", True), ("1", False)])
def test_a_table_that_fails_alone_ends_the_run(kol, kol_fail, threads, again):
    lake(kol)
    failing = {"KOL_TEST_FAILURE": "etl.written:1-99"}
    result = kol_fail("etl", "--lake-threads", threads, env=failing, status=1)
    assert "kol etl: sql/gold/dim_platform: the statement needs more memory" in result.errors
    assert ("made again, one table at a time" in result.errors) == again
    assert {how for how, _ in made(kol).values()} == {"whole"}


# ---- what other engines do to the tables in between ----


def profile_of(name, **more):
    event = {
        "event_time": "2025-06-28T10:00:00Z",
        "event_type": "profile",
        "platform": "tiktok",
        "username": name,
        "followers_count": 10,
    }
    return json.dumps(event | more) + "\n"


def add_profile(kol, name):
    kol("log", "produce", "kol.profiles.raw", stdin=profile_of(name))
    kol("ingest")


def daily_rows(kol):
    """Rows of kol_daily, and how many it must have by the rows of bronze."""
    found = select(kol, "SELECT count(*) AS n FROM silver.kol_daily")[0]["n"]
    days = "SELECT DISTINCT platform, coalesce(username, user_id), CAST(event_time AS DATE)"
    wanted = select(kol, f"SELECT count(*) AS n FROM ({days} FROM bronze.profiles) AS days")[0]["n"]
    return found, wanted


@pytest.mark.release_only
def test_another_partition_spec_of_bronze_loses_no_day(kol):
    from pyiceberg.transforms import DayTransform, MonthTransform

    kol("log", "produce", "kol.profiles.raw", stdin=profile_of("first"))
    kol("ingest")
    made(kol)
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("bronze.profiles").update_spec() as update:
            update.remove_field("event_time_day")
            update.add_field("event_time", MonthTransform(), "by_month")
        add_profile(kol, "by_month")
        made(kol)
        with catalog.load_table("bronze.profiles").update_spec() as update:
            update.remove_field("by_month")
            update.add_field("event_time", DayTransform(), "by_day")
    add_profile(kol, "by_day")
    assert made(kol)["silver.kol_daily"] == ("whole", 3)
    assert daily_rows(kol) == (3, 3)


def moved(rows, column, days):
    """Rows of Arrow with a time moved on."""
    from datetime import timedelta

    import pyarrow.compute as pc

    at = rows.schema.get_field_index(column)
    times = pc.add(rows.column(at), timedelta(days=days)).cast(rows.schema.field(at).type)
    return rows.set_column(at, rows.schema.field(at), times)


@pytest.mark.release_only
def test_days_of_another_column_are_no_days_of_events(kol):
    """Bronze by the day of ingest_time: events of one day lie in files of several."""
    from pyiceberg.transforms import DayTransform

    kol("log", "produce", "kol.profiles.raw", stdin=profile_of("first") + profile_of("second"))
    kol("ingest")
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        with table.update_spec() as update:
            update.remove_field("event_time_day")
            update.add_field("ingest_time", DayTransform(), "by_ingest")
        rows = table.scan().to_arrow()
        table.overwrite(rows)
        assert made(kol)["silver.kol_daily"] == ("whole", 2)
        table.refresh()
        table.append(moved(rows, "ingest_time", 40))
    assert made(kol)["silver.kol_daily"] == ("whole", 2)
    assert daily_rows(kol) == (2, 2)


@pytest.mark.release_only
def test_another_partition_spec_of_a_silver_table_doubles_no_row(kol):
    kol("log", "produce", "kol.profiles.raw", stdin=profile_of("first"))
    kol("ingest")
    made(kol)
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("silver.kol_daily").update_spec() as update:
            update.add_identity("platform")
    add_profile(kol, "second")
    assert made(kol)["silver.kol_daily"][1] == 2
    add_profile(kol, "third")
    assert made(kol)["silver.kol_daily"][1] == 3
    assert daily_rows(kol) == (3, 3)


@pytest.mark.release_only
def test_a_column_that_another_engine_renamed_counts_as_a_change(kol):
    video = profile_of("owner", event_type="video", video_id="v1", view_count=5)
    kol("log", "produce", "kol.videos.raw", stdin=video)
    kol("ingest")
    made(kol)
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("bronze.videos").update_schema() as update:
            update.rename_column("view_count", "watched")
    kol("ingest")
    assert made(kol)["silver.kol_content"] == ("whole", 1)


def test_days_are_still_known_after_many_commits(kol):
    """The version that the last run read does not expire under a hundred small commits."""
    kol("log", "produce", "kol.profiles.raw", stdin=profile_of("first"))
    kol("ingest")
    made(kol)
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        assert "kol-last-run" in table.refs()
        for _ in range(101):
            table.append(table.scan().to_arrow().slice(0, 0))
    add_profile(kol, "last")  # its commit lets older snapshots go
    with catalog_of(kol.data) as catalog:
        assert len(catalog.load_table("bronze.profiles").snapshots()) <= 101
    assert made(kol)["silver.kol_daily"] == ("in part", 2)


@pytest.mark.parametrize("days", [1, 4])  # in parts by a hash of the keys, and by days
def test_what_does_not_fit_into_memory_is_made_in_parts_with_the_same_rows(kol, days):
    kol("demo", "--kols", 12000, "--days", days, "--seed", 7)
    kol("ingest")
    tables = ["silver.kol_profiles", "silver.kol_content", "silver.kol_daily", "silver.kol_labels"]
    made(kol, *tables, "--no-online")
    at_once = contents(kol, tables)
    files = {table: data_files(kol, table) for table in tables}
    assert made(kol, *tables, "--full", "--no-online", "--lake-memory", "64MiB").keys() == set(tables)
    assert contents(kol, tables) == at_once
    for table in ("silver.kol_profiles", "silver.kol_daily"):
        assert data_files(kol, table) > files[table], f"{table} was made at once"
    add_profile(kol, "last")
    assert made(kol, "silver.kol_daily", "--no-online", "--lake-memory", "64MiB") == {
        "silver.kol_daily": ("in part", daily_rows(kol)[0])
    }
    in_part = contents(kol, ["silver.kol_daily"])
    made(kol, "silver.kol_daily", "--full", "--no-online")
    assert contents(kol, ["silver.kol_daily"]) == in_part


def test_parts_that_are_still_too_large_are_halved(kol):
    """Texts of 1,500 characters take more room than is reckoned with a row."""
    text = "x" * 1500
    videos = "".join(
        profile_of(f"kol{i % 50}", event_type="video", video_id=f"v{i}", description=f"{i}{text}")
        for i in range(10000)
    )
    kol("log", "produce", "kol.videos.raw", stdin=videos)
    kol("ingest")
    result = kol("etl", "silver.kol_content", "--no-online", "--lake-memory", "64MiB")
    assert "silver.kol_content is made in" in result.errors
    wrong = "SELECT count(*) AS n FROM silver.kol_content WHERE length(description) < 1501"
    assert select(kol, wrong) == [{"n": 0}]
    assert select(kol, "SELECT count(*) AS n FROM silver.kol_content") == [{"n": 10000}]


def data_files(kol, table):
    with catalog_of(kol.data) as catalog:
        return len(list(catalog.load_table(table).scan().plan_files()))
