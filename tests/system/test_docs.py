"""The pages under docs/ are what the program prints, and the README's commands exist."""

import re
import subprocess
import sys

import pytest

from support import ROOT, environment

PAGES = ["api", "cache-keys", "commands", "config", "events", "lake", "metrics", "errors", "presets", "scores"]


@pytest.mark.parametrize("page", PAGES)
def test_generated_page_is_up_to_date(kol, page):
    printed = kol("docs", page).text
    kept = (ROOT / "docs" / f"{page}.md").read_text()
    assert kept == printed, f"docs/{page}.md is old: run `kol docs {page} > docs/{page}.md`"


def test_man_page_is_read_without_a_warning(kol):
    checked = subprocess.run(
        ["man", "--warnings=all", "--encoding=utf8", "-l", "-"],
        input=kol("docs", "man").out,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert checked.returncode == 0 and checked.stderr == b"", checked.stderr.decode()
    assert b"kol import PRESET FILE..." in checked.stdout


def test_bash_completes_commands_and_flags(kol, tmp_path):
    script = tmp_path / "kol.bash"
    script.write_bytes(kol("docs", "completion-bash").out)
    probe = (
        f". {script}; COMP_WORDS=(kol imp); COMP_CWORD=1; _kol; echo ${{COMPREPLY[@]}};"
        "COMP_WORDS=(kol import --str); COMP_CWORD=2; _kol; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-euc", probe], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["import", "--strict"], done.stderr


def test_commands_that_the_readme_names_exist(kol):
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`kol ([a-z]+)", text)) | set(re.findall(r"src/kol ([a-z]+)", text))
    assert named, "the README shows no command"
    for command in named:
        kol("help", command)


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_crawler_of_the_docs_works_as_printed(kol, tmp_path):
    text = (ROOT / "docs" / "sources.md").read_text()
    crawler = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    assert len(crawler.splitlines()) <= 32
    script = tmp_path / "crawler.py"
    script.write_text(crawler)
    command = kol.command(["import", "events", "-"])
    done = subprocess.run(
        [sys.executable, script, *command],
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    counts = {row["topic"]: row["records"] for row in kol("log", "topics", "--format", "json").json()}
    assert counts["kol.profiles.raw"] == 2 and counts["kol.videos.raw"] == 2
    assert counts.get("kol.dead", 0) == 0


def test_the_preset_of_the_docs_works_as_printed(kol, tmp_path):
    text = (ROOT / "docs" / "import.md").read_text()
    for kind, name in (("csv", "shops.csv"), ("json", "shops.json")):
        body = re.search(rf"```{kind}\n(.*?)```", text, re.S).group(1)
        (tmp_path / name).write_text(body)
    report = kol("import", "./shops.json", "shops.csv", "--format", "json", cwd=tmp_path).json()
    assert (report[0]["profiles"], report[0]["dead"]) == (1, 0)
    values = kol("log", "tail", "kol.profiles.raw", "--values").text
    assert '"username":"an_nhien"' in values and '"followers_count":1200' in values
    assert '"event_time":"2025-03-01T00:00:00Z"' in values and '"bio":"Mỹ phẩm"' in values
