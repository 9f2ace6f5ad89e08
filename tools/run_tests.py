"""Runs the parts of the test suite one after the other and adds up what they say.

Started by tools/test.sh, which has installed what is needed. Each part streams its own output; the
end is a table of the parts with their durations and one line, "N passed, N failed, N skipped",
which counts every single test. A build that fails is one failed test and stops what needs it. The
exit status is 1 if anything failed or nothing ran.
"""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build/reports"


@dataclass
class Part:
    """One step of the suite. `kind` says who counts: a build or a command is one test, the reports
    of Meson and pytest count for themselves."""

    name: str
    kind: str  # build, command, meson or pytest
    command: list[str]
    needs: str = ""  # the build without which it cannot run
    env: dict = field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""

    def report(self):
        if self.kind == "meson":
            return Path(self.command[3]) / "meson-logs/testlog.junit.xml"
        return REPORTS / f"{self.name.replace(' ', '-')}.xml"


def build(kind, *targets):
    return Part(f"build {kind}", "build", ["tools/build.sh", kind, *targets])


def unit(kind, *arguments):
    command = ["meson", "test", "-C", str(ROOT / "build" / kind), "--no-rebuild", "--print-errorlogs"]
    command += arguments
    return Part(f"unit {kind}", "meson", command, needs=f"build {kind}")


def system(name, kind, *arguments):
    part = Part(f"{name} {kind}", "pytest", [], needs=f"build {kind}")
    part.command = [sys.executable, "-m", "pytest", f"--junitxml={part.report()}", *arguments]
    part.env = {"KOL_BIN": str(ROOT / f"build/{kind}/src/kol")}
    if kind == "release":  # it has no sanitizers in it: once is enough
        part.env["KOL_FAIL_BIN"] = str(ROOT / "build/fail/src/kol")
    return part


def quick():
    """What `make test` runs."""
    count = str(min(max(2, os.cpu_count() or 2), 8))
    workers = ("-q", "-n", count, "--dist", "worksteal", "--durations", "5")
    return [
        build("release", "all", "package"),
        build("fail", "src/kol"),
        Part("lint", "command", ["tools/lint.sh", "quick"]),
        unit("release"),
        system("system", "release", *workers),
        build("asan"),
        unit("asan"),
        system("system", "asan", *workers),
        build("tsan", "threaded-tests"),
        unit("tsan", "--suite", "threads"),
    ]


def long():
    """What `make test-long` runs: one test at a time, because several of them measure memory."""
    return [
        build("release"),
        build("fail", "src/kol"),
        build("tsan", "src/kol"),
        system("long", "release", "-v", "-m", "long", "--durations", "0", "-o", "timeout=3600"),
        Part("fuzz", "command", ["tools/fuzz.sh"]),
    ]


def environment(part):
    """Sanitizers end a program at their first report; the same for unit tests and system tests."""
    suppressions = ROOT / "tests/suppressions"
    common = "halt_on_error=1:print_stacktrace=1"
    return os.environ | {
        "ASAN_OPTIONS": f"{common}:detect_leaks=1:strict_string_checks=1",
        "UBSAN_OPTIONS": common,
        "LSAN_OPTIONS": f"suppressions={suppressions}/lsan.txt:print_suppressions=0",
        "TSAN_OPTIONS": f"{common}:second_deadlock_stack=1:suppressions={suppressions}/tsan.txt",
        **part.env,
    }


def broken_programs(part):
    """Names of the test programs that Meson calls failed, from its log: one JSON object a line."""
    log = part.report().with_name("testlog.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return [row["name"] for row in rows if row["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")]


def count(part, status):
    """Takes the numbers from the report of a part; a runner that failed without one has failed."""
    if part.kind in ("build", "command"):
        part.passed, part.failed = (1, 0) if status == 0 else (0, 1)
        return
    if part.report().is_file():
        for suite in xml.parse(part.report()).getroot().iter("testsuite"):
            broken = int(suite.get("failures") or 0) + int(suite.get("errors") or 0)
            skipped = int(suite.get("skipped") or 0)
            part.failed += broken
            part.skipped += skipped
            part.passed += int(suite.get("tests")) - broken - skipped
    else:
        part.note = "no report"
    if part.kind == "meson":
        # A program that died has no failed function in its report.
        part.failed = max(part.failed, len(broken_programs(part)))
    if status != 0 and part.failed == 0:
        part.failed = 1
        part.note = f"ended with status {status}"


def run(part):
    print(f"\n== {part.name}: {' '.join(part.command).replace(str(ROOT) + '/', '')}", flush=True)
    if part.kind in ("meson", "pytest"):
        part.report().unlink(missing_ok=True)
        part.report().with_name("testlog.json").unlink(missing_ok=True)
    start = time.monotonic()
    status = subprocess.run(
        part.command, cwd=ROOT, env=environment(part), stdin=subprocess.DEVNULL, check=False
    ).returncode
    part.seconds = time.monotonic() - start
    count(part, status)


def main():
    parts = {"quick": quick, "long": long}[sys.argv[1]]()
    REPORTS.mkdir(parents=True, exist_ok=True)
    broken = set()
    for part in parts:
        if part.needs in broken:
            part.note = f"not run: {part.needs} failed"
            continue
        run(part)
        if part.kind == "build" and part.failed:
            broken.add(part.name)

    print(f"\n{'part':<16}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for part in parts:
        print(
            f"{part.name:<16}{part.passed:>8}{part.failed:>8}{part.skipped:>8}"
            f"{part.seconds:>9.1f}  {part.note}".rstrip()
        )
    passed, failed, skipped = (
        sum(getattr(part, what) for part in parts) for what in ("passed", "failed", "skipped")
    )
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
