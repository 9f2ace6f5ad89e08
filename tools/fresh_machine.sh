#!/bin/sh
# fresh_machine.sh: tries what the README promises on a machine that has nothing.
#
#   tools/fresh_machine.sh [--keep] [SUITE [COMMAND...]]
#
# It makes a minimal Debian root (SUITE: bookworm, or trixie) with git and make, clones the last
# commit into it and runs each COMMAND there as root; by default `make run` twice (the API
# runs for a few seconds each time), then `make test`.
# What this machine needs to reach its package registries (mirror, proxy, certificates, settings of
# apt, pip and npm) is passed on. Needs root and debootstrap.
#
# Mounts and processes live in namespaces of their own, so that they end with the script however it
# ends. --keep leaves the root for a look; KOL_FRESH_DIR says where it is made (/var/tmp).
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

# Where the checkout lies on the new machine, and whose home that is.
home=/srv

# What the packages of this machine come from: "URI" of Debian's archive, then of its security one.
mirrors() {
    # shellcheck disable=SC2016 # the names are apt's
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' |
        sort -u
}

# The package clients' settings, where this machine has any; a missing file is no loss.
copy_settings() {
    mkdir -p "$new/usr/local/share/ca-certificates" "$new/usr/local/etc"
    cp /etc/resolv.conf /etc/hosts "$new/etc/"
    for file in /etc/pip.conf /etc/npmrc /usr/local/etc/npmrc; do
        [ ! -f "$file" ] || cp "$file" "$new$file"
    done
    [ ! -f "$HOME/.npmrc" ] || cp "$HOME/.npmrc" "$new$home/.npmrc"
    # ca-certificates takes these in when it is installed.
    cp /usr/local/share/ca-certificates/*.crt "$new/usr/local/share/ca-certificates/" 2>/dev/null || :
    grep -lE '^[[:space:]]*Acquire' /etc/apt/apt.conf.d/* 2>/dev/null | while read -r file; do
        cp "$file" "$new/etc/apt/apt.conf.d/"
    done
}

write_sources() {
    rm -f "$new/etc/apt/sources.list"
    echo "deb $archive $suite main"
    echo "deb $archive $suite-updates main"
    [ -z "$security" ] || echo "deb $security $suite-security main"
}

# What of this machine's environment leads to the registries, as assignments.
registry_settings() {
    env | grep -iE '^([a-z]+_proxy|PIP_[A-Z_]+|npm_config_[a-z_]+|NODE_EXTRA_CA_CERTS)=|^SSL_CERT_[A-Z]+=|^[A-Z]+_CA_BUNDLE=' |
        grep -v '^PIP_FIND_LINKS=' || :
}

# Runs a command as after a login on that machine: with nothing of this one's environment but
# `settings`.
enter() {
    set -- /bin/sh -c "cd $home/kol && $1"
    while read -r assignment; do
        [ -z "$assignment" ] || set -- "$assignment" "$@"
    done <<END
$settings
END
    env -i HOME="$home" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        TERM=dumb "$@" </dev/null
}

# Runs in the new namespaces: nobody else sees these mounts. The new root takes the place of the old
# one (a mere chroot would forbid what some tests do: namespaces of their own).
inside() {
    settings=$(registry_settings)
    mount --bind "$new" "$new"
    mount -t proc proc "$new/proc"
    mount --rbind /dev "$new/dev"
    if [ -d "$root/../shared/data" ]; then
        mkdir -p "$new$home/shared/data"
        mount --bind -o ro "$root/../shared/data" "$new$home/shared/data"
    fi
    mkdir "$new/old"
    cd "$new"
    pivot_root . old
    cd /
    umount -l /old
    failed=0
    for command; do
        say "fresh $suite: $command"
        start=$(date +%s)
        enter "$command" || failed=1
        say "fresh $suite: $command took $(($(date +%s) - start)) s$([ $failed = 0 ] || echo ' and FAILED')"
        [ $failed = 0 ] || return 1
    done
}

if [ "${1:-}" = --inside ]; then
    work=$2 suite=$3
    new=$work/root
    shift 3
    inside "$@"
    exit
fi

keep=false
[ "${1:-}" != --keep ] || { keep=true; shift; }
suite=${1:-bookworm}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- 'RUN_SECONDS=5 make run' 'RUN_SECONDS=5 make run' 'make test'
[ "$(id -u)" = 0 ] || die "a new root needs root: sudo $0"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install -y debootstrap"
archive=$(mirrors | awk '$3 == "Debian" && $2 !~ /security/ { print $1; exit }')
security=$(mirrors | awk '$3 == "Debian" && $2 ~ /security/ { print $1; exit }')
[ -n "$archive" ] || die "apt-get knows no Debian archive here: run apt-get update"

work=$(mktemp -d "${KOL_FRESH_DIR:-/var/tmp}/kol-fresh.XXXXXX")
new=$work/root
cleanup() {
    if $keep; then
        say "left for a look: chroot $new"
    else
        rm -rf --one-file-system "$work"
    fi
}
trap cleanup EXIT
trap 'exit 130' HUP INT TERM

say "making a minimal $suite (debootstrap)"
debootstrap --variant=minbase --include=git,make "$suite" "$new" "$archive" >"$work/debootstrap.log" ||
    { tail -n 20 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
copy_settings
write_sources >"$new/etc/apt/sources.list.d/debian.list"
git clone --quiet --no-hardlinks "$root" "$new$home/kol"
[ -z "$(git -C "$root" status --porcelain)" ] ||
    say "note: the last commit is tried, not what is changed in $root"
unshare --mount --pid --fork --kill-child --propagation private "$0" --inside "$work" "$suite" "$@"
