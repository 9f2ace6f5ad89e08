"""What system tests share: running the built program, and waiting for what it does."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A sanitizer ends the program with this status, which no command uses, so that a test that expects
# a failure never takes a sanitizer's for it.
SANITIZER_STATUS = 99

# Names that kol reads without its own prefix; a test sees only those that it sets itself.
FOREIGN_NAMES = ("REDIS_", "TRINO_", "MLFLOW_", "KAFKA_", "CORS_ALLOWED_ORIGINS", "API_KEYS")


def program():
    """Path of the program under test: $KOL_BIN, else the release build."""
    path = Path(os.environ.get("KOL_BIN") or ROOT / "build/release/src/kol").resolve()
    assert path.is_file(), f"{path} is not built: run `make build`"
    return path


def wait_until(condition, what, timeout=30.0, pause=0.01):
    """Calls condition() until it is true and returns its value; fails naming `what` otherwise."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout} s in vain for {what}"
        time.sleep(pause)


def environment(extra=None):
    """The environment of the program: the caller's without what configures kol."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KOL_", *FOREIGN_NAMES))
    }
    env["LC_ALL"] = "C.UTF-8"
    suppressions = ROOT / "tests/suppressions"
    common = f"halt_on_error=1:exitcode={SANITIZER_STATUS}:print_stacktrace=1"
    env["ASAN_OPTIONS"] = f"{common}:detect_leaks=1:strict_string_checks=1"
    env["UBSAN_OPTIONS"] = common
    env["LSAN_OPTIONS"] = f"exitcode={SANITIZER_STATUS}:suppressions={suppressions}/lsan.txt"
    env["TSAN_OPTIONS"] = f"{common}:suppressions={suppressions}/tsan.txt"
    env.update(extra or {})
    return env


class Result:
    """How a run of kol ended: status (negative: the signal), out and err as bytes."""

    def __init__(self, args, status, out, err):
        self.args, self.status, self.out, self.err = args, status, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def errors(self):
        return self.err.decode(errors="replace")

    def json(self):
        """The rows of `--format json`: one array, or an object a line."""
        if self.out.lstrip().startswith(b"["):
            return json.loads(self.out)
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __repr__(self):
        shown = " ".join(map(str, self.args))
        return (
            f"kol {shown}: status {self.status}\n"
            f"stdout: {self.out[-2000:].decode(errors='replace')}\nstderr: {self.errors[-4000:]}"
        )


class Running:
    """A kol that runs beside the test; closed by the fixture that started it."""

    def __init__(self, args, process):
        self.args, self.process = args, process
        self.pid = process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout=60, stdin=None):
        """Waits for the end; stdin is written and closed first. Gives a Result."""
        out, err = self.process.communicate(stdin, timeout=timeout)
        return checked(Result(self.args, self.process.returncode, out or b"", err or b""))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def checked(result):
    """Fails if a sanitizer spoke or the program died of a bug, whatever the test expects."""
    crashed = result.status in (
        SANITIZER_STATUS,
        -signal.SIGSEGV,
        -signal.SIGABRT,
        -signal.SIGBUS,
        -signal.SIGFPE,
        -signal.SIGILL,
    )
    assert not crashed, result
    return result


class Kol:
    """Runs the program on one data folder: kol("log", "topics") -> Result."""

    def __init__(self, binary, data):
        self.binary, self.data = binary, data
        self.running = []

    def command(self, args, data=None):
        return [str(self.binary), *map(str, args), "--data", str(data or self.data)]

    def __call__(
        self, *args, stdin=b"", status=0, data=None, env=None, timeout=120, cwd=None
    ):
        """Runs to the end. status: what it must end with, None for anything but a crash.

        stdin is bytes or text, or an open file. data: another data folder than the fixture's.
        """
        given = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": _bytes(stdin)}
        done = subprocess.run(
            self.command(args, data),
            **given,
            capture_output=True,
            env=environment(env),
            timeout=timeout,
            cwd=cwd,
            check=False,
        )
        result = checked(Result(args, done.returncode, done.stdout, done.stderr))
        assert status is None or result.status == status, result
        return result

    def start(self, *args, data=None, env=None, cwd=None, stdin=subprocess.PIPE, **popen):
        """Starts it and returns at once; stdout and stderr are pipes unless said otherwise."""
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            self.command(args, data), stdin=stdin, env=environment(env), cwd=cwd, **popen
        )
        self.running.append(Running(args, process))
        return self.running[-1]

    def close(self):
        for running in self.running:
            running.close()


def _bytes(text):
    return text.encode() if isinstance(text, str) else text
