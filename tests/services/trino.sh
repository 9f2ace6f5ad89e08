#!/bin/sh
# trino.sh: a Trino of one node with the Iceberg connector.
#
#   trino.sh install          once, 540 MB to fetch; prints the folder
#   trino.sh run WORK PORT    serves 127.0.0.1:PORT until it is ended; WORK is a folder of its own
#
# Needs Maven, and Java 24 or newer. It is ready when /v1/info says "starting":false, and has no
# catalog then: `CREATE CATALOG name USING iceberg WITH (...)` adds one. 476 is the newest release
# whose server is on Maven Central as an archive.
set -eu
# shellcheck source=tests/services/common.sh
. "$(dirname "$0")/common.sh"

version=476
server=$cache/trino-$version

# Of the plugins only the connector is kept: each of the others costs time at start.
fetch() {
    artifact "io.trino:trino-server-core:$version:tar.gz" "$1/archives"
    artifact "io.trino:trino-iceberg:$version:zip" "$1/archives"
    tar -xzf "$1/archives/trino-server-core-$version.tar.gz" -C "$1" --strip-components=1
    rm -rf "$1/plugin"
    mkdir "$1/plugin"
    python3 -m zipfile -e "$1/archives/trino-iceberg-$version.zip" "$1/plugin"
    mv "$1/plugin/trino-iceberg-$version" "$1/plugin/iceberg"
    artifact "$sqlite_jdbc" "$1/plugin/iceberg"
    rm -rf "$1/archives"
}

# settings WORK PORT: the files below WORK/etc. The memory suits a machine that others use, too.
settings() {
    mkdir -p "$1/etc/catalog" "$1/var"
    cat >"$1/etc/node.properties" <<END
node.environment=test
node.id=one
node.data-dir=$1/var
node.bind-ip=127.0.0.1
node.internal-address=127.0.0.1
END
    cat >"$1/etc/config.properties" <<END
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port=$2
discovery.uri=http://127.0.0.1:$2
catalog.management=dynamic
query.max-memory=900MB
query.max-memory-per-node=900MB
memory.heap-headroom-per-node=400MB
END
    printf '%s\n' -server -Xmx1800m -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError \
        -Djdk.attach.allowAttachSelf=true -Dfile.encoding=UTF-8 \
        --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
        >"$1/etc/jvm.config"
    echo io.trino=WARN >"$1/etc/log.properties"
}

case "${1:-}" in
install)
    java_home 24 >/dev/null
    install_once "$server" fetch
    echo "$server"
    ;;
run)
    work=$2
    JAVA_HOME=$(java_home 24)
    PATH=$JAVA_HOME/bin:$PATH
    export JAVA_HOME PATH
    [ -d "$server" ] || missing "not installed: run tests/services/trino.sh install"
    settings "$work" "$3"
    exec "$server/bin/launcher" run --etc-dir "$work/etc" --data-dir "$work/var"
    ;;
*)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
