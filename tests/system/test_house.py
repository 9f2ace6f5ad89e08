"""The house stays a house: rooms use each other one way, files and functions stay readable."""

import re

from support import ROOT

SRC = ROOT / "src"

# Which rooms a room may include from, beside itself. Use goes one way.
USES = {
    "base": set(),
    "domain": {"base"},
    "log": {"base"},
    "import": {"base", "domain", "log"},
    "iceberg": {"base"},
    "engine": {"base", "iceberg"},
    "gbdt": {"base"},
    "score": {"base", "gbdt"},
    "lake": {"base", "domain", "log", "iceberg", "engine", "gbdt", "score"},
    "registry": {"base", "gbdt", "score"},
    "online": {"base", "domain", "iceberg", "engine", "lake"},
    "backup": {"base", "log", "iceberg", "lake", "online"},
    "http": {"base"},
    "cache": {"base"},
    "serve": {"base", "http", "cache"},
    "api": {
        *("base", "domain", "log", "import", "engine", "iceberg", "lake", "gbdt", "score"),
        *("registry", "online", "backup", "http", "cache", "serve"),
    },
    "cmd": {
        *("base", "domain", "log", "import", "iceberg", "engine", "lake", "online", "backup"),
        *("gbdt", "score", "registry", "http", "cache", "serve", "api"),
    },
}

# What other rooms may see of a room. Everything else is private to it.
PUBLIC = {
    "base": None,  # all of it
    "domain": {"event.h", "decode.h", "encode.h", "count.h"},
    "log": {"bus.h"},
    "import": {"import.h", "lines.h", "csv.h", "preset.h", "submit.h", "demo.h", "demo_log.h"},
    "iceberg": {"schema.h", "metadata.h", "catalog.h", "storage.h", "table.h", "reach.h"},
    "engine": {"engine.h"},
    "gbdt": {"gbdt.h"},
    "score": {"features.h", "score.h", "explain.h", "forecast.h"},
    "registry": {"drift.h", "registry.h", "train.h", "metrics.h", "compare.h"},
    "lake": {"feature_rows.h", "lake.h", "tables.h", "ingest.h", "etl.h", "maintain.h", "report.h", "score.h"},
    "online": {"online.h", "live.h"},
    "backup": {"backup.h"},
    "http": {"http.h"},
    "cache": {"l1.h", "redis.h", "redis_watch.h", "breaker.h"},
    "serve": {"acl.h", "keys.h", "shape.h", "store.h", "warm.h", "heat.h", "tier.h", "ahead.h", "limits.h"},
    "api": {"api.h", "values.h"},
    "cmd": {"command.h"},
}


def sources():
    return [path for path in SRC.rglob("*") if path.suffix in {".c", ".h", ".def"}]


def includes(path):
    return re.findall(r'#\s*include "([^"]+)"', path.read_text())


def room_of(path):
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else "cmd"


def test_every_room_is_known():
    rooms = {path.name for path in SRC.iterdir() if path.is_dir()}
    assert rooms == set(USES), "say in USES what the new room may use"


def test_no_arrow_goes_back():
    for path in sources():
        room = room_of(path)
        for target in includes(path):
            if "/" in target and not target.startswith("sql/"):  # tables of data, no room
                other = target.split("/")[0]
                allowed = USES[room] | {room}
                assert other in allowed, f"{path.relative_to(ROOT)} ({room}) includes {target}"


def test_no_room_includes_a_private_header_of_another():
    for path in sources():
        room = room_of(path)
        for target in includes(path):
            other, _, rest = target.partition("/")
            if rest and other not in (room, "sql") and PUBLIC[other] is not None and rest.endswith(".h"):
                assert rest in PUBLIC[other], f"{path.relative_to(ROOT)} includes {target}"


def test_base_and_log_do_not_speak_of_kols():
    """They could be lifted into another program: no word of the domain in their code."""
    words = re.compile(r"\b(tiktok|youtube|twitter|followers|influencer|profile_event)\b", re.I)
    for room in ("base", "log", "iceberg", "engine", "gbdt"):
        for path in (SRC / room).rglob("*.[ch]"):
            hit = words.search(path.read_text())
            assert not hit, f"{path.relative_to(ROOT)} says '{hit.group()}'"


def test_domain_does_no_io():
    forbidden = re.compile(r"\b(fopen|open|read|write|printf|fprintf|socket|getenv)\s*\(")
    for path in (SRC / "domain").rglob("*.c"):
        hit = forbidden.search(path.read_text())
        assert not hit, f"{path.relative_to(ROOT)} calls {hit.group()}"


def test_no_other_file_spells_a_key_of_the_cache():
    patterns = re.findall(r'^KEY\(\w+, "([^"]+)"', (SRC / "serve/keys.def").read_text(), re.M)
    assert len(patterns) >= 20
    spelled = re.compile("|".join(re.escape(f'"{pattern.split("{")[0]}') for pattern in patterns))
    for path in sources():
        if path.name != "keys.def":
            hit = spelled.search(path.read_text())
            assert not hit, f"{path.relative_to(ROOT)} spells {hit.group()}...: see serve/keys.h"


def functions(text):
    """(name, lines) of each function body of a C file in the project's format."""
    lines = text.split("\n")
    start = name = None
    for number, line in enumerate(lines):
        if line == "{" and number:
            head = " ".join(lines[max(0, number - 4) : number])
            found = re.findall(r"(\w+)\s*\(", head)
            start, name = number, found[0] if found else "?"
        elif line == "}" and start is not None:
            yield name, number - start - 1
            start = None


def test_files_and_functions_stay_readable():
    lengths = []
    for path in SRC.rglob("*.c"):
        text = path.read_text()
        where = path.relative_to(ROOT)
        assert text.count("\n") <= 1000, f"{where} has over 1,000 lines: look for the split"
        for name, length in functions(text):
            assert length <= 100, f"{where}: {name}() has {length} lines"
            lengths.append(length)
    lengths.sort()
    assert lengths and lengths[len(lengths) // 2] <= 16, "the median function grew past 16 lines"


def test_every_file_says_why_it_exists():
    for path in [*sources(), *(ROOT / "tests").rglob("*.c"), *(ROOT / "bench").rglob("*.c")]:
        first = path.read_text().lstrip().split("\n")[:2]
        assert first[0].startswith("/*"), f"{path.relative_to(ROOT)} begins without a word on why"
        assert path.name in " ".join(first), f"{path.relative_to(ROOT)} begins with another name"


def test_a_config_option_or_a_command_needs_one_row_only():
    """No option is spelled a second time in C: what reads it goes by its id."""
    names = re.findall(r'OPTION\(\w+, "([a-z_.]+)"', (SRC / "cmd/options.def").read_text())
    assert len(names) > 10
    for path in SRC.rglob("*.c"):
        for name in names:
            if "." in name:
                assert f'"{name}"' not in path.read_text(), f"{path.name} spells {name}"
