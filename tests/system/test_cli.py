"""The command line as a person or a script meets it: help, typos, exit status, configuration."""

import os
import pty
import signal
import subprocess

import pytest

from support import ROOT, environment, wait_until


def run(kol_bin, *args, env=None):
    """Without --data, which the `kol` fixture always adds."""
    return subprocess.run(
        [kol_bin, *args], capture_output=True, env=environment(env), text=True, check=False
    )


def test_no_command_explains_itself_and_is_wrong_usage(kol_bin):
    done = run(kol_bin)
    assert done.returncode == 2
    assert done.stdout == "" and "usage: kol COMMAND" in done.stderr


def test_help_lists_every_command_and_each_has_its_own(kol_bin):
    overview = run(kol_bin, "help")
    assert overview.returncode == 0
    listed = [line.split()[0] for line in overview.stdout.splitlines() if line.startswith("  ")]
    assert {"demo", "import", "log", "config", "version", "help"} <= set(listed)
    for command in listed:
        own = run(kol_bin, "help", command)
        assert own.returncode == 0 and own.stdout.startswith(f"kol {command}: ")
        assert run(kol_bin, command, "--help").stdout == own.stdout


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["improt"], "did you mean 'import'?"),
        (["log", "topics", "--fromat", "json"], "did you mean --format?"),
        (["log", "topics", "--format", "yaml"], "is not one of: table json csv"),
        (["demo", "--kols", "0"], "is not within 1 and"),
        (["demo", "--kols"], "--kols needs a value"),
        (["import"], "usage: kol import PRESET FILE..."),
        (["docs", "evnts"], "did you mean 'events'?"),
        (["help", "lgo"], "no command 'lgo'"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_meant(kol, args, hint):
    result = kol(*args, status=2)
    assert result.out == b""
    assert hint in result.errors
    assert not kol.data.exists(), "wrong usage must do nothing"


def test_unknown_variable_and_file_key_are_errors_with_the_nearest_name(kol, tmp_path):
    result = kol("config", env={"KOL_LOG_PARTITION": "4"}, status=2)
    assert "did you mean KOL_LOG_PARTITIONS?" in result.errors
    file = tmp_path / "my.conf"
    file.write_text("# first\n[log]\npartitons = 4\n")
    result = kol("config", "--config", file, status=2)
    assert f"{file}:3: " in result.errors and "did you mean 'log.partitions'?" in result.errors
    assert "cannot open" in kol("config", "--config", tmp_path / "none.conf", status=2).errors


def test_config_tells_value_and_origin_and_the_stronger_source_wins(kol, tmp_path):
    kol.data.mkdir()
    (kol.data / "kol.conf").write_text("log.partitions = 3\nimport.batch = 1MiB\nformat = csv\n")
    env = {"KOL_LOG_PARTITIONS": "5", "REDIS_HOST": "cache.example", "REDIS_PASSWORD": "hush"}
    rows = kol("config", "--format", "json", "--import-batch", "2MiB", env=env)
    shown = {row["option"]: (row["value"], row["origin"]) for row in rows.json()}
    assert shown["log.partitions"] == ("5", "KOL_LOG_PARTITIONS")
    assert shown["import.batch"] == ("2MiB", "--import-batch")
    assert shown["format"] == ("json", "--format")
    assert shown["redis.host"] == ("cache.example", "REDIS_HOST")
    assert shown["redis.password"] == ("********", "REDIS_PASSWORD")
    assert shown["redis.port"] == ("6379", "default")
    assert shown["kafka.bootstrap_servers"] == (None, "not set")
    assert b"hush" not in rows.out + rows.err
    plain = kol("config")
    assert plain.text.splitlines()[0] == "option,value,origin"
    assert f"log.partitions,3,{kol.data}/kol.conf:1" in plain.text


def test_config_check_is_silent_when_all_is_right(kol):
    result = kol("config", "--check")
    assert result.out == b"" and result.err == b""
    assert kol("config", "--check", env={"KOL_LOG_PARTITIONS": "x"}, status=2).err


def test_version_names_the_commit_and_the_libraries(kol):
    rows = {row["part"]: row["version"] for row in kol("version", "--format", "json").json()}
    assert {"kol", "commit", "duckdb", "lmdb", "zstd"} <= set(rows)
    assert rows["duckdb"] == "v1.5.5"
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if head.returncode == 0:
        commit = rows["commit"].removesuffix("-dirty")
        known = subprocess.run(
            ["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True, check=False
        )
        assert known.returncode == 0, f"{commit} is no commit of this repository"


def test_a_full_stdout_is_a_failure(kol):
    with open("/dev/full", "wb") as full:
        running = kol.start("docs", "events", stdout=full)
        result = running.wait()
    assert result.status == 1 and "could not be written" in result.errors


def test_metrics_of_a_run_are_left_in_a_file(kol, tmp_path):
    metrics = tmp_path / "run.prom"
    kol("demo", "--kols", "20", "--metrics-file", metrics)
    text = metrics.read_text()
    assert "# TYPE kol_log_records_appended_total counter" in text
    appended = [line for line in text.splitlines() if line.startswith("kol_log_records_appended")]
    total = sum(float(line.split()[-1]) for line in appended)
    held = sum(row["records"] for row in kol("log", "topics", "--format", "json").json())
    assert total == held > 0


def test_an_interrupt_ends_with_130_and_a_second_one_at_once(kol):
    kol("demo", "--kols", "5")
    running = kol.start("log", "tail", "kol.profiles.raw", "--follow", "--from", "start")
    wait_until(lambda: running.process.stdout.read1(), "the first rows")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(kol_bin, data):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [kol_bin, "demo", "--kols", "20000", "--data", data],
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env=environment(),
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    assert process.wait() == 0
    assert b"\r\x1b[K" in seen and b"%" in seen


def closed(kol, *args, descriptors):
    """Runs a command with some of its standard descriptors closed, as a careless parent does."""
    shell = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in descriptors)
    command = f'exec "$@" {shell}'
    return subprocess.run(
        ["sh", "-c", command, "sh", *kol.command(args)],
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_closed_descriptors_never_become_files_of_the_log(kol, tmp_path):
    lines = tmp_path / "x.jsonl"
    lines.write_text("broken\n")
    closed(kol, "import", "events", lines, descriptors=(0, 1, 2))
    assert b"records" not in (kol.data / "log" / "lock.mdb").read_bytes()
    assert kol("log", "topics", "--format", "json").json()[0]["records"] == 1


def test_a_closed_stdin_or_stdout_is_an_error(kol):
    for args in (("import", "events", "-"), ("log", "produce", "kol.videos.raw")):
        done = closed(kol, *args, descriptors=(0,))
        assert done.returncode == 1 and b"cannot read" in done.stderr, args
    done = closed(kol, "version", descriptors=(1,))
    assert done.returncode == 1 and b"could not be written" in done.stderr


def test_an_empty_data_folder_name_is_wrong_usage(kol_bin, tmp_path):
    done = subprocess.run(
        [kol_bin, "demo", "--kols", "1"],
        cwd=tmp_path,
        env=environment({"KOL_DATA": ""}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "KOL_DATA is empty" in done.stderr
    assert not list(tmp_path.iterdir())
