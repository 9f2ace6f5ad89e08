"""What `make install` puts under a prefix works from there, wherever the tree is moved to."""

import json
import os
import subprocess

import pytest

from support import ROOT, environment

pytestmark = pytest.mark.release_only


@pytest.fixture(scope="module")
def moved(kol_bin, tmp_path_factory):
    """The installed tree, moved to where nobody configured it for. The build is left as it is."""
    build = kol_bin.parents[1]
    stage = tmp_path_factory.mktemp("stage")
    # Built before, never here: other tests run the program of this build at the same time.
    assert (build / "src/kol.1").is_file(), f"no man page in {build}: run `make build`"
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", stage)
    options = json.loads(run("meson", "introspect", "--buildoptions", build))
    prefix = next(option["value"] for option in options if option["name"] == "prefix")
    place = stage.parent / "moved"
    (stage / prefix.lstrip("/")).rename(place)
    return place


def run(*command, env=None):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, cwd=ROOT, env=env, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


def test_installed_program_runs_from_where_it_was_moved(moved):
    env = environment()
    env.pop("LD_LIBRARY_PATH", None)
    rows = run(moved / "bin/kol", "version", "--format", "json", env=env).splitlines()
    versions = {row["part"]: row["version"] for row in map(json.loads, rows)}
    assert versions["duckdb"] == "v1.5.5"


def test_installed_program_takes_the_library_that_lies_beside_it(moved):
    env = environment({"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(moved / "libs")})
    run(moved / "bin/kol", "version", env=env)
    log = "".join(path.read_text() for path in moved.glob("libs.*"))
    assert f"calling init: {moved}/bin/../lib/kol/libduckdb.so" in log
    assert str(ROOT) not in log


def test_man_page_and_completions_name_every_command(moved, kol_bin):
    help_text = run(kol_bin, "help", env=environment())
    commands = [line.split()[0] for line in help_text.splitlines() if line.startswith("  ")]
    assert {"import", "demo", "log", "version"} <= set(commands)
    for page in (
        "share/man/man1/kol.1",
        "share/bash-completion/completions/kol.bash",
        "share/zsh/site-functions/_kol",
    ):
        text = (moved / page).read_text()
        assert [name for name in commands if name.isalpha() and name not in text] == []


def test_bash_completes_what_the_installed_script_knows(moved):
    script = f"""
        source {moved}/share/bash-completion/completions/kol.bash
        COMP_WORDS=(kol im) COMP_CWORD=1
        handler=$(complete -p kol | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $handler
        echo "${{COMPREPLY[@]}}"
    """
    assert run("bash", "-c", script, env=os.environ.copy()).split() == ["import"]
