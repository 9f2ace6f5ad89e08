#!/bin/sh
# spark.sh: PySpark with Iceberg's runtime, in a venv of its own.
#
#   spark.sh install               once, 540 MB to fetch; prints the folder
#   spark.sh run SCRIPT [WORD...]  runs a Python script with it, the jars on its class path
#
# Needs Maven, and Java 17 or newer. The jars are those that docs/lake.md names.
set -eu
# shellcheck source=tests/services/common.sh
. "$(dirname "$0")/common.sh"

runtime=org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0:jar
pins=$(cd "$(dirname "$0")/.." && pwd)/requirements-long.txt
spark=$cache/spark-$( (echo "$runtime $sqlite_jdbc" && cat "$pins") | sha256sum | cut -c 1-12)

# pinned FILE NAME...: the pins of these packages alone.
pinned() {
    file=$1
    shift
    for name; do
        sed -n "/^$name==/,/^    # via/p" "$file"
    done
}

pip() {
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --require-hashes "$@" >&2 || missing "pip could not get PySpark"
}

# PySpark comes as source and is built by what is installed first. The venv stands
# beside the folder, because it cannot be moved.
fetch() {
    artifact "$runtime" "$1/jars"
    artifact "$sqlite_jdbc" "$1/jars"
    python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    venv=$spark.venv
    rm -rf "$venv"
    "$python" -m venv "$venv"
    pinned "$pins" packaging setuptools wheel >"$1/tools.txt"
    pinned "$pins" py4j pyspark >"$1/spark.txt"
    pip --only-binary=:all: --requirement "$1/tools.txt"
    pip --no-build-isolation --requirement "$1/spark.txt"
}

case "${1:-}" in
install)
    java_home 17 >/dev/null
    install_once "$spark" fetch
    echo "$spark"
    ;;
run)
    shift
    [ -d "$spark" ] || missing "not installed: run tests/services/spark.sh install"
    JAVA_HOME=$(java_home 17)
    SPARK_LOCAL_IP=127.0.0.1
    PYSPARK_SUBMIT_ARGS="--jars $(printf '%s,' "$spark"/jars/*.jar | sed 's/,$//') pyspark-shell"
    export JAVA_HOME SPARK_LOCAL_IP PYSPARK_SUBMIT_ARGS
    exec "$spark.venv/bin/python" "$@"
    ;;
*)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
