"""Forecasts: how good they are on real histories, and `kol forecast`."""

import csv
import json
import os
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from support import environment, program

HORIZON = 30
ORIGIN_STEP = 7  # days between two days that are forecast from
LEAST_HISTORY = 30  # days before the first of them


@pytest.fixture(scope="session")
def forecasts():
    """Runs forecast_lines ($KOL_FORECAST_LINES, else that of the program's build folder): a list of
    (value, low80, high80, low95, high95) a day for each (horizon, values), text for a refused one."""
    given = os.environ.get("KOL_FORECAST_LINES")
    path = Path(given or program().parents[1] / "tests/tools/forecast_lines")
    if not path.is_file():
        pytest.skip(f"no {path}: it is built with the tests")

    def run(series):
        lines = "".join(
            f"{horizon} {' '.join('-' if value is None else repr(value) for value in values)}\n"
            for horizon, values in series
        )
        done = subprocess.run(
            [path], input=lines, capture_output=True, text=True, env=environment(), check=True,
            timeout=300,
        )  # fmt: skip
        answers = []
        for line in done.stdout.splitlines():
            if line.startswith("refused"):
                answers.append(line)
            else:
                cells = [float(cell) for cell in line.split()]
                answers.append(list(zip(*(cells[i::5] for i in range(5)))))
        assert len(answers) == len(series)
        return answers

    return run


@pytest.fixture(scope="session")
def histories(shared_data):
    """{username: {day: followers}} of the accounts that were seen on 60 days or more."""
    path = shared_data / "tiktok_discover_daily_users_2022.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    seen = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            seen.setdefault(row["username"], {})[date.fromisoformat(row["day"])] = float(row["followers"])
    return {name: days for name, days in seen.items() if len(days) >= 60}


def filled(days):
    """One value a day from the first to the last, a gap holding what was before it."""
    at, values = min(days), []
    while at <= max(days):
        values.append(days.get(at, values[-1] if values else None))
        at += timedelta(days=1)
    return values


def naive(past, horizon):
    return [past[-1]] * horizon


def drift(past, horizon):
    step = (past[-1] - past[0]) / (len(past) - 1)
    return [past[-1] + step * (h + 1) for h in range(horizon)]


class Pooled:
    """Sum of errors over sum of scales: an account's scale is its mean change from day to day."""

    def __init__(self):
        self.errors, self.scales = 0.0, 0.0

    def add(self, past, forecast, future, horizon):
        scale = sum(abs(b - a) for a, b in zip(past, past[1:])) / (len(past) - 1)
        self.errors += sum(abs(a - b) for a, b in zip(forecast[:horizon], future))
        self.scales += scale * min(horizon, len(future))

    @property
    def value(self):
        return self.errors / self.scales


def test_rolling_origins_on_real_histories(forecasts, histories):
    cases = []
    for days in histories.values():
        values = filled(days)
        for origin in range(LEAST_HISTORY, len(values) - HORIZON + 1, ORIGIN_STEP):
            cases.append((values[:origin], values[origin : origin + HORIZON]))
    assert len(histories) > 50 and len(cases) > 500
    answers = forecasts([(HORIZON, past) for past, _ in cases])
    for horizon, against_naive in ((7, 1.02), (30, 1.0)):
        ours, last, line = Pooled(), Pooled(), Pooled()
        within = total = within_last = 0
        for (past, future), answer in zip(cases, answers):
            ours.add(past, [point[0] for point in answer], future[:horizon], horizon)
            last.add(past, naive(past, horizon), future[:horizon], horizon)
            line.add(past, drift(past, horizon), future[:horizon], horizon)
            for point, value in zip(answer[:horizon], future):
                within += point[3] <= value <= point[4]
                total += 1
            low95, high95 = answer[horizon - 1][3:]
            within_last += low95 <= future[horizon - 1] <= high95
        said = (
            f"{horizon} days, {len(histories)} accounts, {len(cases)} origins: damped {ours.value:.3f}, "
            f"naive {last.value:.3f}, drift {line.value:.3f}, 95 % covers {within / total:.3f}, at the end {within_last / len(cases):.3f}"
        )
        print(said)
        assert ours.value <= against_naive * last.value, said
        assert ours.value < line.value, said
        assert 0.85 <= within / total <= 0.99, said
        assert 0.85 <= within_last / len(cases) <= 0.99, said


def shown(kol, *args):
    return kol("forecast", *args, "--format", "csv").text.splitlines()


def test_the_command_says_what_the_room_says(kol, forecasts, histories, shared_data):
    """The history as it comes through import, ingest and etl, with its gaps unknown."""
    name = max(histories, key=lambda name: (max(histories[name]) - min(histories[name])).days)
    days = histories[name]
    kol("import", "tiktok-discover", shared_data / "tiktok_discover_daily_users_2022.csv")
    kol("ingest")
    kol("etl", "silver.kol_daily")
    first, last = min(days), max(days)
    calendar = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    (answer,) = forecasts([(90, [days.get(day) for day in calendar])])
    head, *rows = shown(kol, name, "--horizon", 90)
    assert head == "day,value,low80,high80,low95,high95"
    assert [row.split(",")[0] for row in rows] == [
        (last + timedelta(days=h)).isoformat() for h in range(1, 91)
    ]
    assert [tuple(map(float, row.split(",")[1:])) for row in rows] == answer
    people = kol("forecast", f"tiktok:{name}").text.splitlines()
    assert people[0].split() == head.split(",") and len(people) == 31
    assert people[1].split()[1] == str(round(answer[0][0]))
    assert "views of tiktok:" in kol("forecast", name, "--metric", "views", status=1).errors


def profile(platform, day, **fields):
    return {"event_type": "profile", "platform": platform, "event_time": f"2025-06-{day:02}T09:00:00Z",
            **fields}  # fmt: skip


@pytest.fixture
def small(kol):
    """ann on two platforms, more followed on twitter; bob for six days of ten; a name with a colon."""
    events = []
    for day in range(1, 11):
        events.append(profile("tiktok", day, username="ann", followers_count=100 + day))
        events.append(profile("twitter", day, username="ann", followers_count=5000 + 10 * day,
                              following_count=7, post_count=day))  # fmt: skip
        events.append(profile("youtube", day, username="Kênh: một", followers_count=50))
        if day % 2 or day == 2:
            events.append(profile("tiktok", day, username="bob", followers_count=day))
    kol("import", "events", "-", stdin="\n".join(map(json.dumps, events)))
    kol("ingest")
    kol("etl", "silver.kol_daily")
    return kol


def test_which_account_answers(small):
    answer = small("forecast", "ann", "--format", "json", "--horizon", 3)
    rows = answer.json()
    assert [row["day"] for row in rows] == ["2025-06-11", "2025-06-12", "2025-06-13"]
    assert rows[0]["value"] == pytest.approx(5110, abs=2)
    assert "this is twitter:ann; there is also tiktok:ann" in answer.errors
    other = small("forecast", "tiktok:ann", "--format", "json", "--horizon", 3)
    assert other.json()[0]["value"] == pytest.approx(111, abs=1) and other.errors == ""
    colon = small("forecast", "Kênh: một", "--format", "json").json()
    assert len(colon) == 30 and [colon[29][key] for key in ("low95", "value", "high95")] == [49, 50, 51]
    assert small("forecast", "youtube:Kênh: một", "--format", "json").json() == colon
    posts = small("forecast", "ann", "--metric", "posts", "--horizon", 1, "--format", "json").json()
    assert posts[0]["value"] == pytest.approx(11, abs=0.2)


def test_what_gets_no_forecast(small, tmp_path):
    few = small("forecast", "bob", status=1)
    assert few.out == b""
    assert "followers of tiktok:bob: only 6 days were observed, a forecast needs 7" in few.errors
    none = small("forecast", "ann", "--metric", "views", status=1)
    assert "views of twitter:ann: only 0 days were observed" in none.errors
    assert "there is no KOL nobody" in small("forecast", "nobody", status=1).errors
    assert "there is no KOL twitter:bob" in small("forecast", "twitter:bob", status=1).errors
    assert "perhaps followers" in small("forecast", "ann", "--metric", "folowers", status=2).errors
    for horizon in (0, 91, -1, "x"):
        small("forecast", "ann", f"--horizon={horizon}", status=2)
    small("forecast", status=2)
    assert small("forecast", "ann", data=tmp_path / "none", status=1).out == b""
