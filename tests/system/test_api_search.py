"""Search and suggestions, against a look at every name by a folding of our own; recent searches."""

import csv
import io
import random
import unicodedata

import pytest
import requests

from support import Kol

# Letters that Unicode does not take apart.
LETTERS = {"đ": "d", "ð": "d", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "ß": "ss"}
QUOTES = {"‘": "'", "’": "'", "“": '"', "”": '"'}
HOSTILE = [
    "'; DROP TABLE kols; --",
    "' OR '1'='1",
    '" OR ""="',
    "%",
    "%%",
    "__",
    "a%' ESCAPE '%",
    "\\",
    "\\'; --",
    "$(id)",
    "`id`",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
    "file:///etc/passwd",
    "-- x",
    "/* x */",
    "1; SELECT 1",
    "𝓁𝒾𝓃𝒽",
    "ＬＩＮＨ",
    "ﬁ",
    "لينه",
    "李 李",
    "🌸🌸",
    "a\u0301\u0302",
    "\u200bli",
    "  ",
    "é",
]


def fold(text):
    for _ in range(3):
        text = unicodedata.normalize("NFKD", text).casefold()
        text = "".join(
            LETTERS.get(char, QUOTES.get(char, char))
            for char in text
            if not (unicodedata.combining(char) and ord(char) < 0x370)
            and not 0x200B <= ord(char) <= 0x200F
            and not 0xFE00 <= ord(char) <= 0xFE0F
        )
    return " ".join(text.split())


@pytest.fixture(scope="module")
def kols(kol_bin, demo_data):
    """All KOLs, the most followed first, unknown last."""
    rows = {}
    for sql in (
        "SELECT platform, kol_id, display_name, NULL AS followers_count FROM gold.dim_kol"
        " WHERE is_current",
        "SELECT platform, kol_id, display_name, followers_count FROM silver.kol_profiles",
    ):
        for row in Kol(kol_bin, demo_data)(
            "sql", sql, "--format", "json", "--limit", 1000000
        ).json():
            rows[row["platform"], row["kol_id"]] = row
    ordered = sorted(
        rows.values(),
        key=lambda row: (
            row["followers_count"] is None,
            -(row["followers_count"] or 0),
            row["platform"].encode(),
            row["kol_id"].encode(),
        ),
    )
    for row in ordered:
        row["id"], row["name"] = fold(row["kol_id"]), fold(row["display_name"] or "")
    return ordered


def match_of(text, wanted):
    """0 exact, 1 prefix, 2 at a word, 3 elsewhere, 4 not at all."""
    best, at = 4, text.find(wanted)
    while at >= 0:
        if at == 0:
            here = 0 if text == wanted else 1
        else:
            before = text[at - 1]
            here = 3 if ord(before) >= 0x80 or before.isalnum() else 2
        best, at = min(best, here), text.find(wanted, at + 1)
    return best


def expected_hits(kols, q, platform, limit):
    wanted = fold(q)
    found = []
    for place, row in enumerate(kols):
        if not wanted or platform not in ("all", row["platform"]):
            continue
        match = min(match_of(row["id"], wanted), match_of(row["name"], wanted))
        if match < 4:
            found.append((match, place))
    return [(match, kols[place]) for match, place in sorted(found)[:limit]]


def assert_search(served, kols, q, platform="all", limit=20):
    got = served.get("/api/v1/search", q=q, platform=platform, limit=limit)
    hits = expected_hits(kols, q, platform, limit)
    shown = [(row["platform"], row["kol_id"], row["match"]) for row in got["data"]]
    words = ("exact", "prefix", "word", "part")
    assert shown == [(row["platform"], row["kol_id"], words[match]) for match, row in hits], q
    assert (got["q"], got["total"]) == (q, len(hits))
    for row, (_, hit) in zip(got["data"], hits):
        wanted = fold(q)
        fields = [
            name
            for name, text in (("kol_id", hit["id"]), ("display_name", hit["name"]))
            if wanted in text
        ]
        assert row["matched"] == fields
        assert row["display_name"] == hit["display_name"]
        assert row["followers_count"] == hit["followers_count"]
    return got["data"]


def test_parts_of_names_find_whom_a_look_at_all_finds(served, kols):
    rng = random.Random(5)
    for number in range(150):
        text = rng.choice(kols)[rng.choice(("kol_id", "display_name"))] or "none"
        at = rng.randrange(max(1, len(text) - 1))
        q = text[at : at + rng.randint(2, 9)]
        if len(q) < 2:
            continue
        q = rng.choice((str.lower, str.upper, str))(q)[:100]
        platform = rng.choice(("all", "all", "tiktok", "twitter", "youtube", "instagram"))
        assert_search(served, kols, q, platform, rng.choice((1, 5, 20, 100)))


def test_case_and_accents_make_no_difference(served, kols):
    accented = [row for row in kols if row["display_name"] and not row["display_name"].isascii()]
    for q in ("nguyen", "NGUYỄN", "dang", "Đặng", "linh"):
        hits = assert_search(served, kols, q, limit=100)
        if q in ("nguyen", "dang"):
            assert any(
                fold(row["display_name"] or "") != (row["display_name"] or "").lower()
                for row in hits
            )
    for row in accented[:20]:
        name = fold(row["display_name"])[:100]
        if len(name) >= 2:
            assert (row["platform"], row["kol_id"]) in [
                (hit["platform"], hit["kol_id"]) for hit in assert_search(served, kols, name)
            ]


@pytest.mark.parametrize("q", [q for q in HOSTILE if len(q) >= 2])
def test_any_text_is_only_a_text(served, kols, q):
    assert_search(served, kols, q)


def test_the_twin_as_csv_has_the_same_rows(served):
    rows = served.get("/api/v1/search", q="an", limit=30)["data"]
    table = served.ask("/api/v1/search", q="an", limit=30, format="csv").body.decode()
    read = list(csv.DictReader(io.StringIO(table)))
    assert [row["kol_id"] for row in read] == [row["kol_id"] for row in rows]
    assert len(rows) > 3


@pytest.mark.parametrize(
    "given", [{}, {"q": "a"}, {"q": "a" * 101}, {"q": "ab", "limit": 101}, {"q": "ab", "x": 1}]
)
def test_what_is_out_of_bounds_is_refused(served, given):
    assert served.get("/api/v1/search", status=422, **given)["code"] == "invalid_parameter"


# ---- suggestions ----


def expected_suggestions(kols, prefix, limit):
    wanted = fold(prefix)
    found = [
        row
        for row in kols
        if wanted and (row["id"].startswith(wanted) or row["name"].startswith(wanted))
    ]
    return found[:limit]


def assert_suggest(served, kols, prefix, limit=10):
    got = served.get("/api/v1/search/suggest", prefix=prefix, limit=limit)
    expected = expected_suggestions(kols, prefix, limit)
    shown = [(row["platform"], row["kol_id"], row["display_name"]) for row in got["data"]]
    assert shown == [(row["platform"], row["kol_id"], row["display_name"]) for row in expected]
    for row, hit in zip(got["data"], expected):
        by_name = hit["name"].startswith(fold(prefix))
        assert row["text"] == (hit["display_name"] if by_name else hit["kol_id"])
    return got


def test_prefixes_give_the_most_followed(served, kols):
    rng = random.Random(6)
    for letter in "abcdehlmnptv19":
        assert_suggest(served, kols, letter, 20)
    for number in range(150):
        text = rng.choice(kols)[rng.choice(("kol_id", "display_name"))] or "none"
        prefix = text[: rng.randint(1, 12)][:50]
        assert_suggest(
            served, kols, rng.choice((str.lower, str.upper, str))(prefix)[:50], rng.randint(1, 100)
        )


@pytest.mark.parametrize("prefix", HOSTILE)
def test_any_prefix_is_only_a_text(served, kols, prefix):
    assert_suggest(served, kols, prefix)


# ---- recent searches ----


def test_a_search_is_remembered_for_whom_it_names(served):
    for q, platform in (("linh", "all"), ("an", "tiktok"), ("LÍNH", "all")):
        served.get("/api/v1/search", q=q, platform=platform, user_id="ana")
    got = served.get("/api/v1/search/recent/ana")
    # The same but for case and accents takes the place of the one before.
    assert [(row["q"], row["platform"]) for row in got["data"]] == [
        ("LÍNH", None),
        ("an", "tiktok"),
    ]
    assert got["data"][0]["at"] >= got["data"][1]["at"]
    assert served.get("/api/v1/search/recent/an")["data"] == []
    assert served.get("/api/v1/search/recent/ana ")["data"] == []


def test_a_remembered_search_is_made_each_time(served):
    """An answer out of the cache would forget to remember."""
    for _ in range(2):
        served.get("/api/v1/search", q="linh", user_id="again")
        assert len(served.get("/api/v1/search/recent/again")["data"]) == 1
        gone = served.ask("/api/v1/search/recent/again", method="DELETE")
        assert gone.status == 200 and gone.json() == {"user_id": "again", "removed": 1}
        assert served.get("/api/v1/search/recent/again")["data"] == []


@pytest.mark.parametrize(
    "user", ["'; DELETE FROM kols; --", "a/b", "a:b", "Đặng", "🌸", "../../live", "%2e%2e", "a b"]
)
def test_any_user_is_only_a_name(served, user):
    url = (
        served.urls["api"].rstrip("/")
        + "/api/v1/search/recent/"
        + requests.utils.quote(user, safe="")
    )
    searched = requests.get(
        served.urls["api"].rstrip("/") + "/api/v1/search",
        {"q": "linh", "user_id": user},
        timeout=30,
    )
    assert searched.status_code == 200
    got = requests.get(url, timeout=30)
    assert got.status_code == 200 and got.json()["user_id"] == user
    assert [row["q"] for row in got.json()["data"]] == ["linh"]
    assert requests.delete(url, timeout=30).json()["removed"] == 1
    assert requests.get(url, timeout=30).json()["data"] == []


def test_only_the_newest_are_remembered(served):
    for number in range(60):
        served.get("/api/v1/search", q=f"many {number}", user_id="busy")
    got = [row["q"] for row in served.get("/api/v1/search/recent/busy")["data"]]
    assert got == [f"many {number}" for number in range(59, 9, -1)]


def test_a_key_sees_only_the_users_that_it_wrote(serve, tmp_path, kol_bin):
    kol = Kol(kol_bin, tmp_path / "data")
    keys = {
        name: kol("keys", "create", name, "--scope", scope, "--format", "json").json()[0]["key"]
        for name, scope in (("one", "read"), ("two", "read"), ("boss", "read,admin"))
    }
    server = serve()

    def ask(name, path, method="GET", **query):
        reply = server.ask(path, method, headers={"X-API-Key": keys[name]}, **query)
        assert reply.status == 200, reply
        return reply.json()

    # The second search of "two" is equal to one that was answered before: it counts all the same.
    ask("one", "/api/v1/search", q="linh", user_id="ana")
    ask("two", "/api/v1/search", q="linh", user_id="ana")
    ask("two", "/api/v1/search", q="an", user_id="bo")
    recent = "/api/v1/search/recent/"
    assert [row["q"] for row in ask("one", recent + "ana")["data"]] == ["linh"]
    assert ask("one", recent + "bo")["data"] == []
    assert len(ask("boss", recent + "ana")["data"]) == 2
    assert ask("one", recent + "bo", "DELETE")["removed"] == 0
    assert [row["q"] for row in ask("two", recent + "bo")["data"]] == ["an"]
    assert ask("one", recent + "ana", "DELETE")["removed"] == 1
    assert [row["q"] for row in ask("two", recent + "ana")["data"]] == ["linh"]
    assert ask("boss", recent + "ana", "DELETE")["removed"] == 1
    assert ask("two", recent + "ana")["data"] == []


def test_recent_searches_outlive_the_server_for_seven_days(serve):
    first = serve(env={"KOL_TEST_NOW": "2026-01-01T00:00:00Z"})
    first.get("/api/v1/search", q="linh", user_id="ana")
    first.stop()
    later = serve(env={"KOL_TEST_NOW": "2026-01-07T23:59:00Z"})
    assert len(later.get("/api/v1/search/recent/ana")["data"]) == 1
    later.stop()
    too_late = serve(env={"KOL_TEST_NOW": "2026-01-08T00:01:00Z"})
    assert too_late.get("/api/v1/search/recent/ana")["data"] == []
