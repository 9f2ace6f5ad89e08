#!/bin/sh
# install.sh: installs the Debian packages that a part of the project needs, and nothing else.
#
#   tools/install.sh GROUP...    build, make, test, shell, lint, fuzz, cov, bench
#
# It looks first and runs apt-get only for what is missing, so that a second run costs nothing and
# needs neither a network nor root. No question is asked.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

# One place for every package name. They are the same on Debian 12 and 13; libssl-dev is for TLS to
# Redis, which libhiredis-dev has on 13.
packages_of() {
    case $1 in
    build) echo ca-certificates gcc git libavro-dev libbrotli-dev libc6-dev libcjson-dev libcmocka-dev \
        libgnutls28-dev libhiredis-dev libjansson-dev liblmdb-dev libmicrohttpd-dev libsqlite3-dev \
        libssl-dev libxxhash-dev libzstd-dev meson ninja-build pkgconf python3 python3-venv zlib1g-dev ;;
    make) echo make ;;
    test) echo curl man-db openssl procps redis-server shellcheck util-linux ;;
    shell) echo shellcheck ;;
    lint) echo clang clang-tidy ;;
    fuzz) echo clang libclang-rt-dev llvm ;;
    cov) echo gcovr ;;
    bench) echo nginx-light redis-server wrk ;;
    *) die "$1 is no group of packages: build, make, test, shell, lint, fuzz, cov, bench" ;;
    esac
}

missing_of() {
    for package; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = installed ] || echo "$package"
    done
}

# Runs a command as root; sudo may ask for a password only where somebody is there to type it.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        die "not root and no sudo. As root, once: apt-get install -y $missing"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=2 \
        -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

[ $# -gt 0 ] || die "usage: tools/install.sh GROUP..."
wanted=
for group; do
    wanted="$wanted $(packages_of "$group")"
done
if ! command -v apt-get >/dev/null; then
    say "no apt-get here, so nothing is installed; what Debian calls these must be there:$wanted"
    exit 0
fi
# shellcheck disable=SC2086 # a list of words
missing=$(missing_of $wanted | sort -u | tr '\n' ' ')
[ -n "$missing" ] || exit 0

say "installing: $missing"
retry apt update ||
    die "apt-get update failed: check the network and /etc/apt/sources.list, then run this again"
# shellcheck disable=SC2086 # a list of words
retry apt install -y --no-install-recommends $missing ||
    die "apt-get could not install: $missing(its own words are above); then run this again"
