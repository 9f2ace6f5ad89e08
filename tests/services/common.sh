# shellcheck shell=sh
# common.sh: what the scripts of this folder share. Sourced, never run.
#
# Each script installs one foreign engine for tests from Maven Central into a cache outside the
# checkout, once, and runs it in the foreground: whoever starts it ends it. A script that cannot get
# what it needs ends with status 3 and one line that says what is missing; tests skip with that line.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kol/services
# shellcheck disable=SC2034 # used by the scripts that source this file
sqlite_jdbc=org.xerial:sqlite-jdbc:3.50.3.0:jar
maven_get=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy

missing() {
    printf '%s\n' "$*" >&2
    exit 3
}

# java_home LEAST: folder of the first JDK or JRE of that release or a newer one.
java_home() {
    for candidate in "${JAVA_HOME:-}" /usr/lib/jvm/*; do
        [ -x "$candidate/bin/java" ] || continue
        release=$("$candidate/bin/java" -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')
        if [ "${release:-0}" -ge "$1" ]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    missing "no Java $1 or newer: install one under /usr/lib/jvm, or set JAVA_HOME"
}

# artifact GROUP:NAME:VERSION:TYPE FOLDER: copies it there, through the local repository of Maven.
artifact() {
    command -v mvn >/dev/null || missing "no mvn: install maven"
    mvn --quiet --batch-mode "$maven_get" -Dartifact="$1" -DoutputDirectory="$2" \
        -Dmdep.useBaseVersion=true </dev/null >&2 || missing "mvn could not get $1"
}

# install_once FOLDER FUNCTION: calls FUNCTION with a new folder that becomes FOLDER when it is
# whole; one process at a time.
install_once() {
    mkdir -p "$cache"
    exec 9>"$1.lock"
    flock 9
    [ ! -d "$1" ] || return 0
    rm -rf "$1.new"
    mkdir -p "$1.new"
    "$2" "$1.new"
    mv "$1.new" "$1"
}
