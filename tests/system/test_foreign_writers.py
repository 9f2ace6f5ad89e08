"""Other engines write the lake between two runs of kol: their rows stay, kol's are exact."""

import datetime

import pyarrow as pa
import pytest
from pyiceberg.types import LongType, StringType

from engines import catalog_of, event, snippets

SMALL = ("--kols", "120", "--days", "3", "--seed", "5")


def select(kol, sql, **more):
    return kol("sql", sql, "--format", "json", **more).json()


def count(kol, table):
    return select(kol, f"SELECT count(*) AS n FROM {table}")[0]["n"]


def ingested(kol, *args):
    """table -> rows added"""
    return {row["table"]: row["events"] for row in kol("ingest", *args, "--format", "json").json()}


def more_profiles(kol, first, number):
    lines = "".join(
        event(n, "profile", username=f"late_{n}", followers_count=n) for n in range(first, first + number)
    )
    kol("log", "produce", "kol.profiles.raw", stdin=lines)


def foreign_row(table, **values):
    """One row of the table's schema: what must be there and `values`; the rest is null."""
    row = {field.name: None for field in table.schema().fields} | values
    return pa.Table.from_pylist([row], table.schema().as_arrow())


def expire_all(table):
    table.maintenance.expire_snapshots().older_than(
        datetime.datetime.now() + datetime.timedelta(days=1)
    ).commit()


def test_appends_and_expiry_in_between_leave_the_counts_exact(kol):
    kol("demo", *SMALL)
    first = ingested(kol)["bronze.profiles"]
    kol("etl")
    kols = count(kol, "silver.kol_profiles")
    moment = datetime.datetime(2025, 6, 28, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        table.append(
            foreign_row(
                table,
                event_id="foreign",
                event_time=moment,
                event_type="profile",
                platform="tiktok",
                username="written_by_another",
                followers_count=77,
                ingest_time=moment,
                log_topic="elsewhere",
                log_partition=0,
                log_offset=0,
            )
        )
    more_profiles(kol, 100, 20)
    assert ingested(kol)["bronze.profiles"] == 20
    with catalog_of(kol.data) as catalog:
        for name in catalog.list_tables("bronze"):
            table = catalog.load_table(name)
            expire_all(table)
            table = catalog.load_table(name)
            # The tag of the last run holds its version of the tables that were made by days.
            assert len(table.snapshots()) <= len(set(table.refs()) | {"main"})
    assert ingested(kol)["bronze.profiles"] == 0
    more_profiles(kol, 200, 30)
    assert ingested(kol)["bronze.profiles"] == 30
    assert count(kol, "bronze.profiles") == first + 1 + 20 + 30
    kol("etl")
    assert count(kol, "silver.kol_profiles") == kols + 1 + 20 + 30
    assert select(
        kol, "SELECT followers_count, updated_at FROM silver.kol_profiles WHERE kol_id = 'written_by_another'"
    ) == [{"followers_count": 77, "updated_at": "2025-06-28T01:02:03.000004Z"}]


def test_a_table_that_another_engine_made_is_read(kol):
    kol("demo", *SMALL)
    kol("ingest")
    kol("etl")
    rows = pa.table(
        {
            "kol_id": ["a", "ảnh 🌞", None],
            "weight": pa.array([0.5, float("nan"), None], pa.float64()),
            "on": pa.array([datetime.date(2025, 6, 1), None, datetime.date(1969, 12, 31)], pa.date32()),
            "words": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
        }
    )
    with catalog_of(kol.data) as catalog:
        catalog.create_table("gold.made_elsewhere", rows.schema).append(rows)
    assert select(kol, 'SELECT kol_id, "on", words FROM gold.made_elsewhere ORDER BY "on"') == [
        {"kol_id": None, "on": "1969-12-31", "words": None},
        {"kol_id": "a", "on": "2025-06-01", "words": ["x", "y"]},
        {"kol_id": "ảnh 🌞", "on": None, "words": []},
    ]
    assert select(kol, "SELECT count(*) AS n FROM gold.made_elsewhere WHERE weight < 1") == [{"n": 1}]
    listed = {row["table"]: row["rows"] for row in kol("tables", "--format", "json").json()}
    assert listed["gold.made_elsewhere"] == 3
    joined = "SELECT count(*) AS n FROM silver.kol_profiles AS p, gold.made_elsewhere AS m"
    assert select(kol, joined)[0]["n"] == 3 * count(kol, "silver.kol_profiles")
    kol("etl", "--full")
    kol("maintain")
    assert count(kol, "gold.made_elsewhere") == 3


def test_a_column_that_another_engine_added_stays(kol):
    kol("demo", *SMALL)
    first = ingested(kol)["bronze.profiles"]
    kol("etl")
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("bronze.profiles").update_schema() as update:
            update.add_column("note", StringType(), "What the other engine notes")
            update.add_column("extra", LongType())
        with catalog.load_table("silver.kol_profiles").update_schema() as update:
            update.add_column("note", StringType())
    more_profiles(kol, 100, 20)
    assert ingested(kol)["bronze.profiles"] == 20
    kol("etl")
    assert select(
        kol, "SELECT count(*) AS n, count(note) AS notes, count(extra) AS extras FROM bronze.profiles"
    ) == [{"n": first + 20, "notes": 0, "extras": 0}]
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        assert table.schema().find_field("note").doc == "What the other engine notes"
        assert table.scan().to_arrow().num_rows == first + 20
        assert catalog.load_table("silver.kol_profiles").schema().find_field("note")


@pytest.mark.long
def test_trino_writes_and_kol_goes_on(kol, trino):
    """A table made by Trino is read; rows that it deletes by position are refused by name, because
    such files are not read here, and never read as if they were still there."""
    kol("demo", *SMALL)
    first = ingested(kol)["bronze.profiles"]
    kol("etl")
    trino.query("DROP CATALOG IF EXISTS writes")
    trino.add_catalog("writes", snippets("properties")[0].replace("/path/to/data", str(kol.data)))
    trino.query(
        "CREATE TABLE writes.gold.by_trino AS "
        "SELECT kol_id, followers_count, updated_at FROM writes.silver.kol_profiles"
    )
    assert select(
        kol, "SELECT * FROM gold.by_trino EXCEPT SELECT kol_id, followers_count, updated_at FROM silver.kol_profiles"
    ) == []
    assert count(kol, "gold.by_trino") == count(kol, "silver.kol_profiles")
    trino.query(
        "INSERT INTO writes.bronze.profiles SELECT * FROM writes.bronze.profiles ORDER BY event_id LIMIT 3"
    )
    more_profiles(kol, 100, 20)
    assert ingested(kol)["bronze.profiles"] == 20
    assert count(kol, "bronze.profiles") == first + 3 + 20
    trino.query("DELETE FROM writes.gold.by_trino WHERE followers_count > 1000")
    refused = kol("sql", "SELECT count(*) FROM gold.by_trino", status=None)
    assert refused.status != 0 and "delete" in refused.errors
    trino.query("DROP CATALOG writes")


def test_harmless_changes_of_the_schema_do_not_stop_ingest_or_etl(kol):
    """A column made optional, one that was dropped, one that was widened: rows go on."""
    kol("demo", *SMALL)
    first = ingested(kol)["bronze.profiles"]
    kol("etl")
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("bronze.profiles").update_schema(allow_incompatible_changes=True) as update:
            update.make_column_optional("platform")
            update.delete_column("log_topic")
            update.update_column("log_partition", LongType())
        with catalog.load_table("silver.kol_profiles").update_schema(allow_incompatible_changes=True) as update:
            update.make_column_optional("platform")
    more_profiles(kol, 100, 20)
    assert ingested(kol)["bronze.profiles"] == 20
    kol("etl")
    columns = "count(*) AS n, count(log_topic) AS topics, count(log_partition) AS parts, count(platform) AS p"
    total = first + 20
    assert select(kol, f"SELECT {columns} FROM bronze.profiles") == [
        {"n": total, "topics": 20, "parts": total, "p": total}
    ]
    with catalog_of(kol.data) as catalog:
        schema = catalog.load_table("bronze.profiles").schema()
        assert not schema.find_field("log_topic").required and not schema.find_field("platform").required
        assert schema.find_field("log_partition").field_type == LongType()
        assert catalog.load_table("bronze.profiles").scan().to_arrow().num_rows == total
    kol("maintain")
    assert select(kol, f"SELECT {columns} FROM bronze.profiles")[0]["n"] == total


def test_a_table_that_cannot_be_filled_does_not_keep_the_others_waiting(kol):
    kol("demo", *SMALL)
    first = ingested(kol)
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        with table.update_schema(allow_incompatible_changes=True) as update:
            update.delete_column("log_topic")
        with catalog.load_table("bronze.profiles").update_schema() as update:
            update.add_column("log_topic", LongType())
    more_profiles(kol, 100, 3)
    kol("log", "produce", "kol.videos.raw", stdin=event(8, "video", video_id="late", view_count=1))
    result = kol("ingest", "--format", "json", status=None)
    assert result.status == 1 and "bronze.profiles" in result.errors and "log_topic" in result.errors
    assert {row["table"]: row["events"] for row in result.json()}["bronze.videos"] == 1
    assert count(kol, "bronze.videos") == first["bronze.videos"] + 1
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("bronze.profiles").update_schema(allow_incompatible_changes=True) as update:
            update.delete_column("log_topic")
    assert ingested(kol)["bronze.profiles"] == 3


def test_a_users_table_changes_the_type_of_a_column(kol, tmp_path):
    kol("demo", *SMALL)
    kol("ingest")
    file = tmp_path / "sql/gold/mine.sql"
    file.parent.mkdir(parents=True)
    where = ("--lake-sql", str(tmp_path / "sql"))
    body = "SELECT kol_id, {} AS n FROM silver.kol_profiles GROUP BY kol_id"
    rows = None
    for what, example in (
        ("count(*)", 1),
        ("max(platform)", "tiktok"),
        ("max(updated_at)", "2025-01-01T00:00:00Z"),
        ("count(*)", 1),
    ):
        file.write_text(body.format(what))
        kol("etl", *where, "gold.mine")
        found = select(kol, "SELECT kol_id, n FROM gold.mine ORDER BY kol_id")
        assert found and all(type(row["n"]) is type(example) for row in found), found[:2]
        rows = rows or len(found)
        assert len(found) == rows
    with catalog_of(kol.data) as catalog:
        schema = catalog.load_table("gold.mine").schema()
        assert [field.name for field in schema.fields] == ["kol_id", "n"]
        assert schema.find_field("n").field_id > 4 and schema.find_field("n").field_type == LongType()
