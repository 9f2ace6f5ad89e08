# shellcheck shell=sh
# common.sh: what the scripts of tools/ share. Sourced, never run.
#
# The scripts are plain sh, because a fresh machine has nothing else; each can be run by hand from any
# folder. What a person reads goes to stderr, so that a script can print its result on stdout.

root=$(cd "$(dirname "$0")/.." && pwd)
deps=$root/.deps

# Where tools/duckdb.sh puts DuckDB; meson.build looks for the same folder.
duckdb_version=1.5.5
# shellcheck disable=SC2034 # used by the scripts that source this file
duckdb_dir=$deps/duckdb-$duckdb_version

# The same for the explorer page of the API and tools/explorer.sh.
explorer_version=5.35.0
# shellcheck disable=SC2034
explorer_dir=$deps/swagger-ui-$explorer_version

say() {
    printf 'kol: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# retry COMMAND...: up to three tries with a pause between them; the status is that of the last one.
retry() {
    for retry_pause in 2 5; do
        "$@" && return 0
        say "trying again in $retry_pause s: $*"
        sleep "$retry_pause"
    done
    "$@"
}

# pip_install VENV ARGUMENT...: pinned wheels from PyPI into a venv; quiet unless it fails.
pip_install() {
    pip_venv=$1
    shift
    retry "$pip_venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 \
        --only-binary=:all: --require-hashes "$@" >"$pip_venv/words" 2>&1 || {
        tail -n 3 "$pip_venv/words" >&2
        die "pip could not get its packages (see above). Is PyPI or your index reachable (pip config list)? Then run this again"
    }
}

# lock NAME: one process at a time from here to the end of the script, so that two `make` at once do
# not install the same thing twice. Needs descriptor 9.
lock() {
    mkdir -p "$deps"
    exec 9>"$deps/$1.lock"
    flock 9
}

# check_sum FILE SHA256: whether the file is the pinned one.
check_sum() {
    printf '%s  %s\n' "$2" "$1" | sha256sum --check --status
}

# npm_package PACKAGE SHA256: gets a package of npm into the folder $work and checks it; leaves its
# path in $tarball.
npm_package() {
    npm=$("$root/tools/npm.sh")
    say "getting $1"
    # shellcheck disable=SC2154 # $work is the caller's
    (cd "$work" && retry "$npm" pack --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000 \
        "$1" >"$work/name" 2>"$work/words") || {
        grep -im 4 '^npm err' "$work/words" >&2 || cat "$work/words" >&2
        die "npm could not get $1 (see above). Is its registry reachable (npm config get registry)? Then run this again"
    }
    tarball=$work/$(tail -n 1 "$work/name")
    check_sum "$tarball" "$2" ||
        die "$1 is not the file that is pinned (sha256 differs): nothing was installed"
}
