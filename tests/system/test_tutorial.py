"""docs/tutorial.md, line by line: what it has one type is run, and what it shows is what comes.

Fenced blocks of `sh` and `python` are run in the order of the page on a served demo world; a `text`
block behind one is what it printed, with `...` for anything. Blocks of one language share their
variables, as in one terminal and one interpreter.
"""

import contextlib
import io
import re
import shutil
import subprocess

import pytest

from served import Served
from support import ROOT, Kol, environment

PAGE = ROOT / "docs/tutorial.md"
ADDRESS = "http://127.0.0.1:8000"
PROGRAM = "build/release/src/kol"
STARTS_AGAIN = "<!-- The server starts again here. -->"


def blocks():
    """(language, text, the text that is shown behind it or None), and (None, ...) for a new start."""
    page = PAGE.read_text()
    found = []
    for match in re.finditer(rf"```(\w+)\n(.*?)```|{re.escape(STARTS_AGAIN)}", page, re.S):
        language, text = match.groups()
        if language == "text":
            found[-1][2] = text
        else:
            found.append([language, text, None])
    return found


def pattern(shown):
    """What a shown text allows: `...` is anything within a line."""
    return re.compile(".*".join(re.escape(part) for part in shown.split("...")))


class Terminal:
    """Runs blocks on one server; what they define stays."""

    def __init__(self, kol, folder):
        self.kol, self.folder = kol, folder
        self.said, self.names = "", {}
        self.start()

    def start(self):
        self.server = Served(self.kol)
        if "url" in self.names:
            self.names["url"] = self.url()

    def url(self):
        return f"http://{self.server.address}"

    def here(self, text):
        return text.replace(ADDRESS, self.url())

    def sh(self, text):
        """One block, with what the first one defines. Without pipefail: `head` ends its pipe early."""
        # An answer ends without a newline: a terminal shows the next one behind it.
        program = 'curl() { command curl "$@"; echo; }\n'
        program += f'kol() {{ "{self.kol.binary}" "$@" --data "{self.kol.data}"; }}\n'
        text = text.replace(f"alias kol={PROGRAM}\n", "")
        script = f"set -eu\n{program}url={self.url()}\n{self.here(text)}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=environment(), capture_output=True,
            text=True, timeout=120, check=False,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return re.sub(r"\n+", "\n", done.stdout)

    def python(self, text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            exec(compile(self.here(text), str(PAGE), "exec"), self.names)
        return printed.getvalue()


@pytest.mark.timeout(200)
def test_every_line_of_the_tutorial(kol_bin, demo_data, tmp_path):
    folder = tmp_path / "tutorial"
    folder.mkdir()
    shutil.copytree(demo_data, tmp_path / "world")
    kol = Kol(kol_bin, tmp_path / "world")
    kol("maintain", "--relocate", "--dry-run")
    terminal = Terminal(kol, folder)
    try:
        for language, text, shown in blocks():
            if language is None:
                assert terminal.server.stop()[0] == 0
                terminal.start()
                continue
            printed = {"sh": terminal.sh, "python": terminal.python}[language](text)
            if shown is None:
                assert printed == "", text
            else:
                assert pattern(shown.strip()).fullmatch(printed.strip()), f"{text}\n{shown}\n{printed}"
    finally:
        terminal.names.get("api") and terminal.names["api"].close()
        kol.close()


def test_the_tutorial_is_about_what_make_run_serves():
    """The addresses and the program of the page are those of the README; each kind of block is there."""
    page = PAGE.read_text()
    assert ADDRESS in page and f"alias kol={PROGRAM}" in page and page.count(STARTS_AGAIN) == 1
    kinds = [language for language, _, _ in blocks()]
    assert kinds.count("sh") >= 8 and kinds.count("python") >= 6
    for route in ("explain", "cursor", "search", "/predict/", "/events/", "keys create", "If-None-Match"):
        assert route in page, route
