#!/usr/bin/env bash
# Unpack Debian's own HTCondor into a folder, for the tests: nothing of this machine is changed.
#
#   install_condor.sh PREFIX [SUITE...]     SUITE: Debian suites to try in turn (default: sid trixie)
#
# Prints the version on success. Exit code 77: it cannot be done here, the reason is on stderr (the
# tests then skip). PREFIX is kept and used again; it must not be moved, because the programs in it
# are patched to load their libraries from there.
set -euo pipefail

skip() { printf '%s\n' "$*" >&2; exit 77; }

[ $# -ge 1 ] || { echo "usage: install_condor.sh PREFIX [SUITE...]" >&2; exit 2; }
prefix=$(realpath -m -- "$1")
shift
[ $# -gt 0 ] || set -- sid trixie

# shellcheck disable=SC1091  # not on every machine: that is the question
[ -r /etc/os-release ] && [ "$(. /etc/os-release && echo "${ID:-}")" = debian ] || skip "not a Debian machine"
for tool in apt-get dpkg dpkg-deb tar flock; do
    command -v "$tool" >/dev/null || skip "no $tool on this machine"
done

mkdir -p -- "$(dirname -- "$prefix")"
exec 9>"$prefix.lock"       # two test runs at once: the second waits and finds it done
flock 9

# The stamp says what was installed, where, and by which version of this script.
recipe="$prefix $(sha256sum <"$0" | cut -c 1-16)"
if [ "$(cat "$prefix/.complete" 2>/dev/null)" = "$recipe" ] && "$prefix/usr/bin/condor_version" 2>/dev/null; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
chmod 755 "$work"
arch=$(dpkg --print-architecture)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || skip "no $keyring: install debian-archive-keyring"
# The mirror that this machine's apt uses already; no name is written here.
# shellcheck disable=SC2016  # apt's own $(...), not the shell's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | head -n 1) || true
[ -n "$mirror" ] || skip "apt has no Debian mirror configured (see apt-get indextargets)"

# A private apt: its own lists, its own empty package database, no root needed.
private_apt() {    # suite
    rm -rf -- "$work/apt"
    mkdir -p "$work"/apt/{lists/partial,archives/partial,debs}
    : >"$work/apt/status"
    echo "deb [signed-by=$keyring] $mirror $1 main" >"$work/apt/sources.list"
    cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$work/apt";
Dir::State::lists "$work/apt/lists";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "0";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::Check-Valid-Until "0";
CONF
    export APT_CONFIG=$work/apt/apt.conf
    apt-get update -qq
}

found=
for suite in "$@"; do
    if private_apt "$suite" && apt-cache show condor >/dev/null 2>&1; then found=$suite; break; fi
done
[ -n "$found" ] || skip "no HTCondor in Debian's $* (or the mirror cannot be reached)"

# What apt would put on an empty machine, less what no daemon loads.
apt-get install -s condor patchelf >"$work/plan"
mapfile -t packages < <(awk '$1 == "Inst" && $2 ~ /^(condor|patchelf|zlib1g|lib.*)$/ {print $2}' "$work/plan" |
    grep -vE '^lib(perl|python|js-|pam|systemd|semanage|sepol|cryptsetup|devmapper|fdisk|mount|blkid)')
(cd "$work/apt/debs" && apt-get download -qq "${packages[@]}")

rm -rf -- "$prefix"
mkdir -p "$prefix"
for deb in "$work"/apt/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x --no-same-owner -C "$prefix" --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*'
done

# The suite's C library is newer than the machine's: each program gets its own loader and library path.
libs=("$prefix"/usr/lib/*-linux-gnu)
loader=$(find "${libs[0]}" "$prefix/usr/lib" -maxdepth 1 -name 'ld-linux-*' | head -n 1)
rpath=${libs[0]}:$prefix/usr/lib
# patchelf is of that suite too, so it is started through that loader.
patchelf=("$loader" --library-path "$rpath" "$prefix/usr/bin/patchelf")
for file in "$prefix"/usr/{bin,sbin,libexec/condor}/*; do
    { [ -f "$file" ] && [ ! -L "$file" ] && [ "$file" != "$prefix/usr/bin/patchelf" ]; } || continue
    "${patchelf[@]}" --print-interpreter "$file" >/dev/null 2>&1 || continue
    "${patchelf[@]}" --set-interpreter "$loader" --force-rpath --set-rpath "$rpath" "$file"
done
for file in "$prefix"/usr/lib/lib{condor_utils,classad}*.so*; do
    [ -L "$file" ] || "${patchelf[@]}" --force-rpath --set-rpath "$rpath" "$file"
done

"$prefix/usr/bin/condor_version"
printf '%s' "$recipe" >"$prefix/.complete"
