"""Lists, content, trending, history, similar KOLs and exports of the API, against the lake itself."""

import csv
import http.client
import io
import json
import random
import shutil
import socket
import threading
import time
from datetime import datetime, timezone

import pytest
from pyarrow.parquet import read_table

from list_reference import HISTORY_METRICS, METRICS, World, csv_value
from served import Served, make_demo
from support import Kol, wait_until

PLATFORMS = ("tiktok", "twitter", "youtube", "instagram")


def world_of(kol):
    """The rows of a lake that was copied from another folder."""
    kol("maintain", "--relocate")
    return World(kol)


@pytest.fixture(scope="module")
def world(served):
    return world_of(served.kol)


def key_of(row):
    return row["platform"], row["kol_id"]


def random_query(rng, world):
    """Filters and order, each given or not, with values that the demo has and some that it lacks."""
    rows = list(world.kols.values())
    some = {
        "platform": lambda: rng.choice((*PLATFORMS, "all")),
        "verified": lambda: rng.choice(("true", "false")),
        "tier": lambda: ",".join(
            rng.sample(("Rising", "Nano", "Micro", "Mid", "Macro", "Mega"), rng.randint(1, 3))
        ),
        "category": lambda: ",".join(
            rng.sample(sorted({r["category"] for r in rows if r["category"]} | {"none"}), 2)
        ),
        "lang": lambda: rng.choice(("vi", "en", "vi,en", "xx")),
        "min_followers": lambda: rng.choice(rows)["followers_count"] or 0,
        "max_followers": lambda: rng.choice(rows)["followers_count"] or 0,
        "min_trust": lambda: rng.choice((0, 12.5, 50, 100, rng.choice(rows)["trust_score"] or 1)),
        "q": lambda: rng.choice(("a", "NG", "nguyễn", "dang", "Đ", "'", "zzzz", "ly.", "my b")),
    }
    query = {name: make() for name, make in some.items() if rng.random() < 0.25}
    query["sort_by"] = rng.choice(list(METRICS))
    query["order"] = rng.choice(("asc", "desc"))
    return query


def check_row(row, lake):
    """A row of JSON against what the lake says of the KOL."""
    for column in ("followers_count", "following_count", "post_count"):
        assert row[column] == (lake.get(column) or 0)
        assert (column in row["unknown"]) == (lake.get(column) is None)
    assert row["verified"] is bool(lake["verified"])
    for column in ("display_name", "bio", "tier", "category", "lang", "avg_engagement_rate"):
        assert row[column] == lake.get(column), column


def check_scores(scores, lake):
    for column in ("trust_score", "success_score", "trending_score", "composite_score"):
        if lake[column] is None:
            assert scores[column] is None
        else:
            assert scores[column] == pytest.approx(lake[column], abs=0.00500001)
    assert scores["trust_label"] == (lake.get("trust_label") or "unknown")


# ---- lists ----


def test_every_list_is_what_the_lake_says(served, world):
    rng = random.Random(6)
    seen = 0
    for _ in range(250):
        query = random_query(rng, world)
        wanted = world.listed(query)
        offset, limit = rng.choice((0, 0, 3, 40, 399, 1000)), rng.choice((1, 7, 50, 100))
        answer = served.get("/api/v1/kols", **query, offset=offset, limit=limit)
        page = wanted[offset : offset + limit]
        assert [key_of(r) for r in answer["data"]] == [key_of(r) for r in page], query
        assert answer["total"] == len(wanted), query
        assert answer["page"] == offset // limit + 1 and answer["page_size"] == limit
        assert answer["has_next"] is (offset + limit < len(wanted))
        assert (answer["next_cursor"] is not None) is answer["has_next"]
        for row, lake in zip(answer["data"][:5], page):
            check_row(row, lake)
        seen += len(page)
    assert seen > 2000  # the filters left something to compare


def test_the_cursor_goes_on_where_the_page_ended(served, world):
    rng = random.Random(7)
    queries = [{}] + [{"sort_by": m, "order": o} for m in METRICS for o in ("asc", "desc")]
    queries += [random_query(rng, world) for _ in range(60)]
    for query in queries:
        wanted = [key_of(row) for row in world.listed(query)]
        limit = rng.choice((13, 37, 100))
        answer = served.get("/api/v1/kols", **query, limit=limit)
        got, pages = [key_of(row) for row in answer["data"]], 1
        while answer["next_cursor"]:
            limit = rng.choice((11, 50, 100))
            cursor = answer["next_cursor"]
            answer = served.get("/api/v1/kols", **query, limit=limit, cursor=cursor, offset=3)
            assert answer["page"] is None and answer["total"] == len(wanted)
            assert answer["data"], "a cursor leads to a row"
            got += [key_of(row) for row in answer["data"]]
            pages += 1
            assert pages < 50
        assert got == wanted, query
        assert not answer["has_next"]


def test_a_cursor_goes_on_from_an_offset(served, world):
    for order in ("asc", "desc"):
        query = {"sort_by": "composite", "order": order, "min_followers": 100}
        wanted = [key_of(row) for row in world.listed(query)]
        first = served.get("/api/v1/kols", **query, offset=21, limit=10)
        cursor = first["next_cursor"]
        second = served.get("/api/v1/kols", **query, cursor=cursor, limit=10)
        assert [key_of(r) for r in first["data"] + second["data"]] == wanted[21:41]


def test_cursors_of_other_lists_and_made_up_ones_are_refused(served):
    cursor = served.get("/api/v1/kols", platform="twitter", limit=2)["next_cursor"]
    served.get("/api/v1/kols", platform="twitter", limit=100, fields="bio", cursor=cursor)
    others = [
        {},
        {"platform": "youtube"},
        {"platform": "twitter", "order": "asc"},
        {"platform": "twitter", "sort_by": "trust_score"},
        {"platform": "twitter", "q": "a"},
        {"platform": "twitter", "min_trust": 0},
    ]
    for other in others:
        problem = served.get("/api/v1/kols", status=422, **other, cursor=cursor)
        assert problem["code"] == "invalid_parameter" and "cursor" in problem["detail"]
    content = served.get("/api/v1/kols/ly.sport/content", limit=1)["next_cursor"]
    served.get("/api/v1/kols", status=422, cursor=content)
    served.get("/api/v1/kols/ly.sport/content", status=422, cursor=cursor)
    rng = random.Random(8)
    for _ in range(200):
        at = rng.randrange(len(cursor))
        letter = rng.choice("ABCabc012-_'\"; é")
        altered = cursor[:at] + letter + cursor[at + rng.choice((0, 1)) :]
        if altered != cursor:
            served.get("/api/v1/kols", status=422, platform="twitter", cursor=altered)


def test_fields_and_scores_shape_the_rows(served, world):
    answer = served.get("/api/v1/kols", fields="display_name,tier", limit=100)
    for row in answer["data"]:
        assert set(row) == {"kol_id", "platform", "display_name", "tier"}
        lake = world.kols[key_of(row)]
        assert (row["display_name"], row["tier"]) == (lake["display_name"], lake["tier"])
    for fields in (None, "tier", "tier,scores"):
        answer = served.get("/api/v1/kols", fields=fields, include="scores", limit=100)
        for row in answer["data"]:
            check_scores(row["scores"], world.kols[key_of(row)])
    assert "scores" in served.get("/api/v1/kols", fields="scores", limit=1)["data"][0]
    problem = served.get("/api/v1/kols", status=422, fields="display_name,nonsense")
    assert "nonsense" in problem["detail"]


@pytest.mark.parametrize("injection", ["' OR 1=1 --", "a'); DROP TABLE kols; --", "%", "_", "\\"])
def test_filters_are_values_never_sql(served, world, injection):
    wanted = world.listed({"q": injection})
    answer = served.get("/api/v1/kols", q=injection)
    assert [key_of(row) for row in answer["data"]] == [key_of(row) for row in wanted[:50]]
    assert served.get("/api/v1/kols", category=injection)["total"] == 0
    assert served.get("/api/v1/kols", lang=injection)["total"] == 0


def test_top_lists_have_the_known_ones_best_first(served, world):
    for platform in (*PLATFORMS, "all"):
        for by in ("followers", "engagement"):
            rows = [r for r in world.kols.values() if platform in ("all", r["platform"])]
            wanted = [key_of(row) for row in world.ranked(by, rows)[0][:30]]
            answer = served.get(f"/api/v1/kols/top/{platform}", by=by, limit=30)
            assert [key_of(row) for row in answer["data"]] == wanted
            assert (answer["platform"], answer["by"]) == (platform, by)
            for row in answer["data"][:5]:
                check_row(row, world.kols[key_of(row)])


# ---- CSV ----


def flattened(row, prefix=""):
    """A row of JSON with the members of its objects named a.b."""
    flat = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def check_csv(text, rows):
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(table) == len(rows)
    for cells, row in zip(table, rows):
        flat = flattened(row)
        assert set(cells) == set(flat)
        for name, cell in cells.items():
            assert csv_value(cell, flat[name]) == flat[name], name


@pytest.mark.parametrize(
    "path, query",
    [
        ("/api/v1/kols", {"limit": 100, "include": "scores", "sort_by": "trending"}),
        ("/api/v1/kols", {"limit": 100, "fields": "bio,unknown", "offset": 300}),
        ("/api/v1/kols", {"q": "no such name"}),
        ("/api/v1/kols/top/all", {"limit": 100}),
        ("/api/v1/kols/ly.sport/content", {"limit": 3}),
        ("/api/v1/trending/all", {"limit": 100}),
        ("/api/v1/trending/kols/all", {"metric": "trust"}),
        ("/api/v1/kols/ly.sport/history", {}),
        ("/api/v1/kols/ly.sport/similar", {}),
    ],
)
def test_csv_has_the_rows_of_the_json(served, path, query):
    answer = served.get(path, **query)
    for reply in (
        served.ask(path, format="csv", **query),
        served.ask(path, headers={"Accept": "text/csv"}, **query),
    ):
        assert reply.status == 200 and reply.headers["content-type"].startswith("text/csv")
        if answer["data"]:
            check_csv(reply.body.decode(), answer["data"])
        assert reply.body.count(b"\r\n") >= len(answer["data"]) + 1
        if "total" in answer:
            assert reply.headers["x-total-count"] == str(answer["total"])
            assert reply.headers.get("x-next-cursor") == answer["next_cursor"]


# ---- content and trending ----


def test_content_of_a_kol_is_complete_and_newest_first(served, world):
    owners = {(row["platform"], row["kol_id"]) for row in world.contents.values()}
    asked = sorted(key for key in owners if key in world.kols)
    assert len(asked) > 20
    for platform, kol_id in asked:
        wanted = [row["content_id"] for row in world.content_of((platform, kol_id))]
        path = f"/api/v1/kols/{platform}:{kol_id}/content"
        answer = served.get(path, limit=2)
        got = answer["data"]
        assert answer["total"] == len(wanted)
        while answer["next_cursor"]:
            answer = served.get(path, limit=3, cursor=answer["next_cursor"])
            got += answer["data"]
        assert [row["content_id"] for row in got] == wanted
        offset = served.get(path, offset=1, limit=100)["data"]
        assert [row["content_id"] for row in offset] == wanted[1:]
    served.get("/api/v1/kols/nobody.at.all/content", status=404)


def test_one_content_is_the_row_of_the_lake(served, world):
    for (platform, content_id), lake in list(world.contents.items())[::3]:
        row = served.get(f"/api/v1/content/{content_id}", platform=platform)
        for column, value in lake.items():
            assert row[column] == value, column
    served.get("/api/v1/content/nothing", status=404)
    served.get(f"/api/v1/content/tiktok:{content_id}", status=422, platform="youtube")


def test_trending_content_is_in_the_order_of_its_score(served, world):
    for platform in (*PLATFORMS, "all"):
        rows = [r for r in world.trending if platform in ("all", r["platform"])]
        rows.sort(key=lambda r: (-r["trending_score"], r["platform"], r["rank"]))
        answer = served.get(f"/api/v1/trending/{platform}", limit=40)
        assert [r["rank"] for r in answer["data"]] == list(range(1, len(rows[:40]) + 1))
        for row, lake in zip(answer["data"], rows):
            content = world.contents[lake["platform"], lake["content_id"]]
            assert (row["platform"], row["content_id"]) == (lake["platform"], lake["content_id"])
            assert row["kol_id"] == (content["kol_id"] or "")
            assert row["title"] == content["title"] and row["as_of"] == lake["as_of"]
            assert row["trending_score"] == pytest.approx(lake["trending_score"], abs=0.00500001)
            assert row["gained_views"] == lake["gained_views"]
            for column in ("views", "likes", "comments", "shares"):
                assert row[column] == (content[column] or 0)
                assert (column in row["unknown"]) == (content[column] is None)


def test_trending_kols_are_ranked_by_each_score_and_label(served, world):
    labels = {
        "trending": ("Viral", "Hot", "Warm", "Normal", "Cold"),
        "trust": ("high", "medium", "low"),
        "success": ("High", "Not-High"),
        "composite": (),
    }
    for metric, words in labels.items():
        sort_by = "trust_score" if metric == "trust" else metric
        for label in (None, *words):
            for platform in ("all", "tiktok", "twitter"):
                rows = [
                    row
                    for row in world.kols.values()
                    if platform in ("all", row["platform"])
                    and (label is None or row.get(f"{metric}_label") == label)
                ]
                wanted = world.ranked(sort_by, rows)[0][:60]
                query = {"metric": metric, "limit": 60, "label": label}
                answer = served.get(f"/api/v1/trending/kols/{platform}", **query)
                assert [key_of(r) for r in answer["data"]] == [key_of(r) for r in wanted], query
                for place, (row, lake) in enumerate(zip(answer["data"], wanted), 1):
                    assert row["rank"] == place
                    assert row["score"] == pytest.approx(lake[METRICS[sort_by]], abs=0.00500001)
                    assert row["label"] == (lake.get(f"{metric}_label") or "")
        served.get("/api/v1/trending/kols/all", status=422, metric=metric, label="Lukewarm")
    served.get("/api/v1/trending/kols/all", status=422, metric="composite", label="Hot")


# ---- history and similar ----


def check_history(served, world, key, metric, days):
    path = f"/api/v1/kols/{key[0]}:{key[1]}/history"
    answer = served.get(path, metric=metric, days=days)
    data, deltas, spikes = world.history(key, metric, days)
    assert answer["data"] == data, (key, metric)
    assert answer["deltas"] == deltas, (key, metric)
    assert [s["day"] for s in answer["spikes"]] == [s["day"] for s in spikes]
    for got, wanted in zip(answer["spikes"], spikes):
        assert got["change"] == pytest.approx(wanted["change"], rel=1e-12)
        assert got["usual"] == pytest.approx(wanted["usual"], rel=1e-12)
    return len(spikes)


def test_history_is_what_was_observed(served, world):
    rng = random.Random(9)
    keys = sorted(world.kols)
    for key in rng.sample(keys, 120):
        check_history(served, world, key, rng.choice(list(HISTORY_METRICS)), rng.choice((1, 7, 30)))
    often = sorted(keys, key=lambda key: -len(world.daily.get(key, ())))[:30]
    for key in often:
        check_history(served, world, key, "followers", 100)


def profile(username, day, followers, **more):
    """An event that tells of a KOL on one day."""
    return {
        "event_id": f"{username}-{day}",
        "event_time": f"2025-03-{day:02}T12:00:00Z",
        "event_type": "profile",
        "platform": "tiktok",
        "username": username,
        "followers_count": followers,
        **more,
    }


JUMPY = [1000 + 10 * day + (5000 if day >= 15 else 0) + day % 3 for day in range(1, 29)]
FLAT = [500 if day < 20 else 800 for day in range(1, 29)]
CLIMB = [100 * day for day in range(1, 29)]


@pytest.fixture(scope="module")
def crowd(kol_bin, demo_data, tmp_path_factory):
    """A server with three KOLs that were observed for four weeks, but for two days, and with a
    thousand of one platform. Gives it and its rows."""
    folder = tmp_path_factory.mktemp("crowd") / "data"
    shutil.copytree(demo_data, folder)
    kol = Kol(kol_bin, folder)
    events = []
    for name, values in (("jumpy", JUMPY), ("flat", FLAT), ("climb", CLIMB)):
        events += [profile(name, d, v) for d, v in enumerate(values, 1) if d not in (11, 12)]
    for i in range(1000):
        category = ("beauty", "sports", "food", "travel", None)[i % 5]
        events.append(profile(f"crowd.{i}", 1, i * i, category=category, lang=("vi", "en")[i % 2]))
    kol("maintain", "--relocate")
    add_events(kol, events)
    yield Served(kol), World(kol)
    kol.close()


def test_a_jump_is_a_spike_and_a_steady_climb_is_none(crowd):
    server, world = crowd
    spikes = {}
    for name in ("jumpy", "flat", "climb"):
        check_history(server, world, ("tiktok", name), "followers", 28)
        spikes[name] = server.get(f"/api/v1/kols/tiktok:{name}/history", days=28)["spikes"]
    assert [s["day"] for s in spikes["jumpy"]] == ["2025-03-15"]
    assert [s["day"] for s in spikes["flat"]] == ["2025-03-20"]
    assert spikes["climb"] == []
    assert server.get("/api/v1/kols/tiktok:jumpy/history", days=5)["spikes"] == []


def check_similar(served, world, key):
    """The nearest, with their similarity, the nearest first."""
    wanted = world.similar(key)
    answer = served.get(f"/api/v1/kols/{key[0]}:{key[1]}/similar", limit=100)
    best = sorted(wanted.values(), reverse=True)[:100]
    assert len(answer["data"]) == len(best)
    for row, value in zip(answer["data"], best):
        assert row["platform"] == key[0] and row["kol_id"] != key[1]
        assert row["similarity"] == pytest.approx(value, abs=0.00006)
        assert row["similarity"] == pytest.approx(wanted[row["kol_id"]], abs=0.00006)
    again = served.get(f"/api/v1/kols/{key[0]}:{key[1]}/similar", limit=10)
    assert again["data"] == answer["data"][:10]


def test_only_neighbours_by_size_are_compared(crowd):
    server, world = crowd
    for i in (0, 1, 3, 240, 300, 500, 502, 731, 997, 999):
        check_similar(server, world, ("tiktok", f"crowd.{i}"))


def test_similar_kols_are_the_nearest(served, world):
    rng = random.Random(10)
    for key in rng.sample(sorted(world.kols), 60):
        check_similar(served, world, key)


# ---- exports ----


def export(served, form, **query):
    reply = served.ask("/api/v1/export/kols", format=form, **query)
    assert reply.status == 200, reply
    return reply.body


EXPORTS = [
    {},
    {"platform": "twitter", "sort_by": "trust_score", "order": "asc", "include": "scores"},
    {"q": "a", "sort_by": "composite", "fields": "display_name,unknown,first_seen_at,verified"},
    {"q": "nobody is called so"},
]


@pytest.mark.parametrize("query", EXPORTS)
def test_exports_have_every_row_in_each_form(served, world, tmp_path, query):
    wanted = [key_of(row) for row in world.listed(query)]
    rows, cursor = [], None
    while len(rows) < len(wanted):
        page = served.get("/api/v1/kols", **query, limit=100, cursor=cursor)
        rows, cursor = rows + page["data"], page["next_cursor"]
    lines = export(served, "ndjson", **query).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert [key_of(row) for row in rows] == wanted
    check_csv(export(served, "csv", **query).decode(), rows)
    path = tmp_path / "kols.parquet"
    path.write_bytes(export(served, "parquet", **query))
    parquet = read_table(path).to_pylist()
    assert len(parquet) == len(rows)
    for cells, row in zip(parquet, rows):
        flat = flattened(row)
        assert set(cells) == set(flat)
        for name, value in cells.items():
            if isinstance(value, datetime):
                value = value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
            assert value == flat[name], name


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_an_export_says_what_its_file_is_called(served, form):
    reply = served.ask("/api/v1/export/kols", format=form)
    assert reply.headers["content-disposition"] == f'attachment; filename="kols.{form}"'


def test_an_export_leaves_no_file_behind(served):
    before = {path.name for path in served.kol.data.iterdir()}
    export(served, "parquet")
    assert {path.name for path in served.kol.data.iterdir()} == before


def test_filters_of_an_export_are_checked_before_it_begins(served):
    for query in ({"fields": "nonsense"}, {"tier": "Huge"}, {"format": "xml"}):
        served.get("/api/v1/export/kols", status=422, **query)


# ---- while the copy changes ----


def add_events(kol, events):
    """Events in, through the lake, into a new copy."""
    kol("log", "produce", "kol.profiles.raw", stdin="".join(json.dumps(e) + "\n" for e in events))
    kol("ingest")
    kol("etl")


def newcomers(world, round_number):
    """Ten new KOLs, and new counts of followers for many of the old ones."""
    at = f"2025-07-{round_number + 1:02}T00:00:00Z"
    base = {"event_type": "profile", "event_time": at}
    events = [
        {**base, "platform": "tiktok", "username": f"new{round_number}.{i}", "followers_count": i}
        for i in range(0, 10**7, 10**6)
    ]
    rng = random.Random(round_number)
    for platform, kol_id in rng.sample(sorted(world.kols), 150):
        followers = rng.randrange(10**7)
        events.append(
            {**base, "platform": platform, "username": kol_id, "followers_count": followers}
        )
    for place, event in enumerate(events):
        event["event_id"] = f"newcomer-{round_number}-{place}"
    return events


def snapshot_of(server):
    """Number of the copy that answers now."""
    return server.get("/api/v1/kols", limit=1, fields="tier")["snapshot"]


def test_each_kol_comes_once_while_the_copy_is_swapped(serve):
    server = serve()
    world = world_of(server.kol)
    walks = [
        {},
        {"sort_by": "followers", "order": "asc"},
        {"sort_by": "trust_score", "platform": "twitter"},
        {"sort_by": "followers", "q": "a"},
        {"sort_by": "engagement", "order": "asc", "q": "a"},
    ]
    answers = [server.get("/api/v1/kols", **query, limit=10) for query in walks]
    first = answers[0]["snapshot"]
    got = [[key_of(row) for row in answer["data"]] for answer in answers]
    for round_number in range(2):
        add_events(server.kol, newcomers(world, round_number))
        wait_until(lambda n=first + round_number: snapshot_of(server) > n, "the next copy")
        for place, query in enumerate(walks):
            for _ in range(3):
                cursor = answers[place]["next_cursor"]
                if cursor:
                    answers[place] = server.get("/api/v1/kols", **query, limit=10, cursor=cursor)
                    got[place] += [key_of(row) for row in answers[place]["data"]]
                    assert answers[place]["snapshot"] == first
    for place, query in enumerate(walks):
        while answers[place]["next_cursor"]:
            cursor = answers[place]["next_cursor"]
            answers[place] = server.get("/api/v1/kols", **query, limit=100, cursor=cursor)
            got[place] += [key_of(row) for row in answers[place]["data"]]
        assert got[place] == [key_of(row) for row in world.listed(query)], query
    assert server.get("/api/v1/kols")["total"] == len(world.kols) + 20


def remove_old_copies(server, number):
    """As if an hour had passed since the copy had a successor."""
    later = {"KOL_TEST_NOW": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))}
    copies = server.kol.data / "online"
    wait_until(
        lambda: server.kol("online", "clean", env=later)
        and not (copies / f"{number:06}").exists(),
        "the old copy to be removed",
        pause=0.1,
    )


def test_slow_exports_keep_their_copy_and_harm_nobody_and_its_cursors_end_with_it(serve):
    server = serve()
    world = world_of(server.kol)
    before = snapshot_of(server)
    cursor = server.get("/api/v1/kols", limit=2)["next_cursor"]
    host, port = server.address.split(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=60) for _ in range(3)]
    replies = []
    for connection in connections:
        connection.request("GET", "/api/v1/export/kols?format=ndjson&include=scores")
        replies.append(connection.getresponse())
    assert all(reply.status == 200 for reply in replies)
    first = [reply.read(1000) for reply in replies]  # and then nothing for a while
    add_events(server.kol, newcomers(world, 0))
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(server.ask("/api/v1/kols", limit=5)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 8
    wanted = [key_of(row) for row in world.listed({})]
    for begin, reply in zip(first, replies):
        rows = [json.loads(line) for line in (begin + reply.read()).decode().splitlines()]
        assert [key_of(row) for row in rows] == wanted
        assert len({row["snapshot"] for row in rows}) == 1
    for connection in connections:
        connection.close()
    wait_until(lambda: snapshot_of(server) > before, "the next copy")
    remove_old_copies(server, before)
    problem = server.get("/api/v1/kols", status=410, limit=2, cursor=cursor)
    assert problem["code"] == "cursor_expired" and problem["what_to_do"]


# ---- many exports, and clients that leave ----


def begin_export(server):
    """An export whose client reads nothing: a connection with little room."""
    host, port = server.address.split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, int(port)))
    sock.sendall(b"GET /api/v1/export/kols?format=ndjson&include=scores HTTP/1.1\r\nHost: x\r\n\r\n")
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def test_a_fourth_export_waits_until_a_client_leaves(kol):
    make_demo(kol.binary, kol.data, kols=12000, days=1)
    server = Served(kol)
    socks = [begin_export(server) for _ in range(3)]
    reply = server.ask("/api/v1/export/kols", format="csv")
    assert (reply.status, reply.json()["code"]) == (503, "busy")
    assert int(reply.headers["retry-after"]) > 0
    assert server.ask("/api/v1/kols").status == 200
    socks.pop().close()
    wait_until(
        lambda: server.ask("/api/v1/export/kols", format="csv", q="nobody").status == 200,
        "the place of the client that left",
    )
    for sock in socks:
        sock.close()


# ---- a lake of little ----


def examples(server):
    """Every GET of the API with the examples of its parameters."""
    for path, methods in server.get("/openapi.json")["paths"].items():
        operation = methods.get("get")
        if not operation:
            continue
        query = {}
        for parameter in operation.get("parameters", []):
            value = parameter.get("example", parameter["schema"].get("example"))
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", str(value))
            elif parameter["in"] == "query" and parameter.get("required"):
                query[parameter["name"]] = value
        yield path, query


ONLY = {
    "profiles": {"event_type": "profile", "username": "ly.sport", "followers_count": 5},
    "videos": {"event_type": "video", "username": "ly.sport", "video_id": "1", "view_count": 5},
}


@pytest.mark.parametrize("kind", ONLY)
def test_a_lake_with_events_of_one_kind_answers_every_route(kol, kind):
    event = {**ONLY[kind], "event_time": "2025-06-20T00:00:00Z", "platform": "tiktok"}
    kol("log", "produce", f"kol.{kind}.raw", stdin=json.dumps(event) + "\n")
    kol("ingest")
    kol("etl")
    server = Served(kol)
    seen = {path: server.ask(path, **query) for path, query in examples(server)}
    assert len(seen) > 30
    assert not {path: reply for path, reply in seen.items() if reply.status >= 500}
    name = server.get("/api/v1/kols", limit=1)["data"][0]["kol_id"]
    days = server.get(f"/api/v1/kols/{name}/history")["data"]
    assert [day["value"] for day in days if day["value"] is not None] == [5] * (kind == "profiles")
