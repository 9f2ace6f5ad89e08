"""TLS to Redis: who is trusted and who is not. Where hiredis has no TLS: that it is refused."""

import subprocess
import time

import pytest

from redis_services import SLOTS, Cluster, Proxy, fields_of, free_port, redis_flags, tier_of
from served import Served
from support import Kol, wait_until

NAME = "redis.test"
SCORES = "/api/v1/kols/tiktok:ly.sport/scores"
SCORE_KEY = "kol:score:tiktok:ly.sport"


@pytest.fixture(scope="module")
def library(kol_bin, tmp_path_factory):
    rows = Kol(kol_bin, tmp_path_factory.mktemp("version"))("version", "--format", "json").json()
    return {row["part"]: row["version"] for row in rows}["hiredis"]


@pytest.fixture
def with_tls(library):
    if "without TLS" in library:
        pytest.skip(f"the program has hiredis {library}")
    told = subprocess.run(["redis-cli", "--help"], capture_output=True, text=True, check=False)
    if "--tls" not in told.stdout + told.stderr:
        pytest.skip("redis-server is built without TLS")


# ---- where there is none ----


def test_the_program_says_whether_it_has_tls(kol, library):
    assert library.split(" ")[1:] in (["with", "TLS"], ["without", "TLS"])
    assert library in kol("doctor", status=None).text


def test_without_tls_no_option_leads_to_a_connection_without(demo_kol, library):
    """Neither the address nor an option is passed over in silence."""
    if "without TLS" not in library:
        pytest.skip(f"the program has hiredis {library}")
    where = "127.0.0.1:1"
    for flags in (["--redis-url", f"rediss://{where}"], ["--redis-url", f"redis://{where}", "--redis-tls"]):
        for command in ("warm", "doctor"):
            done = demo_kol(command, *flags, status=None)
            said = done.errors + done.text
            assert "no TLS to Redis" in said and library in said, done
        served = demo_kol("serve", "--serve-port", 0, *flags, status=2)
        assert "no TLS to Redis" in served.errors


def test_certificates_without_tls_are_a_mistake(demo_kol):
    """Who names them does not want to send the password as it is."""
    for flag in ("--redis-tls-ca=ca.pem", f"--redis-tls-name={NAME}", "--redis-tls-insecure"):
        done = demo_kol("warm", "--redis-url", "redis://127.0.0.1:1", flag, status=2)
        assert "rediss://" in done.errors, done


# ---- certificates ----


class Authority:
    """Signs certificates; all files lie in one folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.file = self.make(name, "-addext", "basicConstraints=critical,CA:TRUE")

    def make(self, name, *options):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
             "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *options],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return self.folder / f"{name}.pem"

    def sign(self, name, *alternatives):
        names = ["-addext", "subjectAltName=" + ",".join(alternatives)] if alternatives else []
        self.make(name, "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", *names,
                  "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip
        return ("certificate", self.folder / f"{name}.pem"), ("key", self.folder / f"{name}.key")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("certificates"), "authority")
    made.sign("address", "IP:127.0.0.1")
    made.sign("name", f"DNS:{NAME}")
    made.sign("client")
    made.make("stranger")
    return made


def tls_options(authority, certificate, port, *more):
    return ("--tls-port", port, "--tls-cert-file", authority.folder / f"{certificate}.pem", "--tls-key-file",
            authority.folder / f"{certificate}.key", "--tls-ca-cert-file", authority.file, "--tls-auth-clients",
            *(more or ("no",)))  # fmt: skip


class Secure:
    """A server that also listens without TLS, where the test looks at it."""

    def __init__(self, start, authority, certificate, *more):
        self.port = free_port()
        self.server = start(*tls_options(authority, certificate, self.port, *more))
        self.url = f"rediss://127.0.0.1:{self.port}"
        self.trust = f"--redis-tls-ca={authority.file}"


@pytest.fixture
def secure(with_tls, authority, redis_start):
    return lambda *more: Secure(redis_start, authority, *more)


def warmed_by(demo_kol, url, *flags, status=0):
    return demo_kol("warm", "--redis-url", url, *flags, status=status)


# ---- connections ----


def test_all_that_uses_redis_works_over_tls(demo_kol, secure):
    """The warm's long pipes, requests, and the connection that tells of changes."""
    at = secure("address")
    warmed_by(demo_kol, at.url, at.trust)
    assert at.server.redis.dbsize() > 500
    status = demo_kol("cache", "status", "--redis-url", at.url, at.trust, "--format", "json").json()
    assert {row["what"]: str(row["value"]) for row in status}["keys"] == str(at.server.redis.dbsize())
    doctor = demo_kol("doctor", "--redis-url", at.url, at.trust, status=None).text
    assert f"tls:127.0.0.1:{at.port}/0, version 7" in doctor
    served = Served(demo_kol, *redis_flags(at.url, first=True), at.trust)
    served.wait_ready()
    before = served.get(SCORES)
    at.server.redis.flushall()
    wait_until(lambda: tier_of(served)["redis"]["channel"], "changes to be told")
    fields = fields_of(before, ("snapshot", "as_of", "live")) | {
        "trust_score": "12.34", "event_time": "2031-07-01T00:00:00Z", "version": 1940630400 * 10**6,
    }  # fmt: skip
    at.server.redis.hset(SCORE_KEY, mapping=fields)
    wait_until(lambda: served.get(SCORES)["trust_score"] == 12.34, "the change to be seen")
    assert tier_of(served)["hits"] > 0


def test_a_server_that_comes_back_is_used_again(demo_kol, secure):
    at = secure("address")
    warmed_by(demo_kol, at.url, at.trust)
    served = Served(demo_kol, *redis_flags(at.url, first=True), at.trust)
    served.wait_ready()
    wait_until(lambda: tier_of(served)["redis"]["channel"], "changes to be told")
    at.server.kill()
    wait_until(lambda: not tier_of(served)["redis"]["channel"], "the loss to be seen")
    assert served.get(SCORES)
    at.server.start()
    wait_until(lambda: tier_of(served)["redis"]["channel"], "changes to be told again")
    wait_until(lambda: served.get(SCORES) and at.server.redis.exists(SCORE_KEY), "the value to be written back")


def test_only_whom_the_user_trusts_is_believed(demo_kol, secure, authority):
    at = secure("address")
    # The authorities of the system, and one that has not signed it.
    for flags in ([], [f"--redis-tls-ca={authority.folder}/stranger.pem"]):
        done = warmed_by(demo_kol, at.url, *flags, status=2)
        assert "certificate is not trusted" in done.errors and "tls_ca" in done.errors, done
        assert at.server.redis.dbsize() == 0
    missing = warmed_by(demo_kol, at.url, "--redis-tls-ca=/nonexistent/ca.pem", status=2)
    assert "/nonexistent/ca.pem" in missing.errors
    doctor = demo_kol("doctor", "--redis-url", at.url, status=None)
    assert "certificate is not trusted" in doctor.text


def test_the_certificate_must_be_for_the_server_that_was_meant(demo_kol, secure):
    at = secure("name")
    done = warmed_by(demo_kol, at.url, at.trust, status=2)
    assert "certificate is not for `127.0.0.1`" in done.errors and "tls_name" in done.errors, done
    wrong = warmed_by(demo_kol, at.url, at.trust, "--redis-tls-name=other.test", status=2)
    assert "certificate is not for `other.test`" in wrong.errors, wrong
    assert at.server.redis.dbsize() == 0
    warmed_by(demo_kol, at.url, at.trust, f"--redis-tls-name={NAME}")
    assert at.server.redis.dbsize() > 500


def test_nothing_is_checked_only_where_somebody_says_so(demo_kol, secure):
    at = secure("stranger")
    warmed_by(demo_kol, at.url, "--redis-tls-insecure")
    assert at.server.redis.dbsize() > 500
    doctor = demo_kol("doctor", "--redis-url", at.url, "--redis-tls-insecure", status=None)
    assert "nobody looks at its certificate" in doctor.text


def test_a_server_may_ask_for_a_certificate(demo_kol, secure, authority):
    at = secure("address", "yes")
    done = warmed_by(demo_kol, at.url, at.trust, status=2)
    assert "refused TLS" in done.errors and "tls_certificate" in done.errors, done
    half = warmed_by(demo_kol, at.url, at.trust, f"--redis-tls-key={authority.folder}/client.key", status=2)
    assert "needs its key" in half.errors
    other = [f"--redis-tls-certificate={authority.folder}/client.pem",
             f"--redis-tls-key={authority.folder}/stranger.key"]  # fmt: skip
    assert "stranger.key" in warmed_by(demo_kol, at.url, at.trust, *other, status=2).errors
    assert at.server.redis.dbsize() == 0
    own_one = [f"--redis-tls-certificate={authority.folder}/client.pem",
               f"--redis-tls-key={authority.folder}/client.key"]  # fmt: skip
    warmed_by(demo_kol, at.url, at.trust, *own_one)
    assert at.server.redis.dbsize() > 500


def test_passwords_go_over_tls_and_into_no_message(demo_kol, secure):
    at = secure("address")
    at.server.redis.execute_command("ACL", "SETUSER", "me", "on", ">s3cret", "~*", "&*", "+@all")
    at.server.redis.execute_command("ACL", "SETUSER", "default", "-@all", "+info", "+dbsize", "+ping")
    who = at.url.replace("//", "//me:s3cret@")
    warmed_by(demo_kol, who, at.trust)
    wrong = warmed_by(demo_kol, at.url.replace("//", "//me:s4cret@"), at.trust, status=2)
    assert "refused user `me`" in wrong.errors and "s4cret" not in wrong.errors


def test_no_tls_there_and_no_answer_end_in_time(demo_kol, secure):
    at = secure("address")
    plain = warmed_by(demo_kol, f"rediss://127.0.0.1:{at.server.port}", at.trust, status=None)
    assert "TLS" in plain.errors, plain
    turned = warmed_by(demo_kol, f"redis://127.0.0.1:{at.port}", status=1)
    assert str(at.port) in turned.errors
    at.server.port, port = at.port, at.server.port
    proxy = Proxy(at.server)
    at.server.port = port
    try:
        proxy.do("hang")
        began = time.monotonic()
        flags = ["--redis-connect-time=300ms", "--redis-answer-time=300ms", at.trust]
        url = f"rediss://127.0.0.1:{proxy.port}"
        hung = demo_kol("cache", "get", "stats:platform", "--redis-url", url, *flags, status=1)
        assert "no TLS within the time limit" in hung.errors, hung
        assert time.monotonic() - began < 5
    finally:
        proxy.close()


def test_a_cluster_over_tls(demo_kol, with_tls, authority, redis_start):
    """Nodes tell of one another by the ports of TLS; each is checked by its own address."""
    nodes = []
    for _ in range(3):
        port = free_port(most=55535)
        nodes.append((port, redis_start(
            *tls_options(authority, "address", port), "--tls-cluster", "yes", "--tls-replication", "yes",
            "--cluster-enabled", "yes")))  # fmt: skip
    for number, (_, node) in enumerate(nodes):
        node.redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        node.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
        node.redis.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0][0])
    for _, node in nodes:
        wait_until(lambda node=node: Cluster.state(node) == "ok", "the cluster to be whole")
    flags = ["--redis-cluster", "--redis-tls", "--redis-host", "127.0.0.1", "--redis-port", nodes[0][0],
             f"--redis-tls-ca={authority.file}"]  # fmt: skip
    demo_kol("warm", *flags)
    assert all(node.redis.dbsize() > 100 for _, node in nodes)
    served = Served(demo_kol, *flags, "--redis-first=true", "--warm-interval", "0s")
    served.wait_ready()
    wait_until(lambda: tier_of(served)["redis"]["channel"], "changes to be told")
    assert served.get(SCORES) and tier_of(served)["hits"] > 0
    untrusted = demo_kol("warm", *flags[:-1], status=2)
    assert "certificate is not trusted" in untrusted.errors
