#!/usr/bin/env bash
# Installs what Debian 12 must provide, after asking whether it is there already.
#
#   debian.sh build    what `cargo build` needs: compilers, OpenSSL, zlib
#   debian.sh data     what data.py needs: pip
#   debian.sh test     what the tests ask for a second opinion: other people's programs, a JVM, Prometheus
#
# Each need is checked itself (does the program run, is the library found?), so that a machine which has it from elsewhere is
# left alone. Prometheus is unpacked into the cache and not installed, because Debian's package starts a server.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/latentd"
tools="$cache/tools"

say() { echo "setup: debian: $*" >&2; }
die() { echo "setup: debian: error: $*" >&2; exit 1; }

runs() { command -v "$1" >/dev/null 2>&1; }
library() { runs pkg-config && pkg-config --exists "$1"; }
pip() { python3 -m pip --version >/dev/null 2>&1; }
venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
links() { echo 'int main(void) { return 0; }' | "$1" -x "$2" - -o /dev/null 2>/dev/null; }

# One need a line: the Debian package, then the command that succeeds when it is met.
needs() {
    case "$1" in
    build)
        cat <<'LIST'
gcc links gcc c
libc6-dev links gcc c
g++ links g++ c++
make runs make
pkg-config runs pkg-config
libssl-dev library openssl
zlib1g-dev library zlib
LIST
        ;;
    data)
        cat <<'LIST'
python3 runs python3
python3-pip pip
LIST
        ;;
    test)
        cat <<'LIST'
gzip runs gzip
zstd runs zstd
brotli runs brotli
lz4 runs lz4
xz-utils runs xz
bzip2 runs bzip2
python3 runs python3
python3-venv venv
kcat runs kcat
curl runs curl
systemd runs systemd-analyze
openjdk-17-jre-headless runs java
maven runs mvn
LIST
        ;;
    *) die "no such group \`$1\`: it is one of build, data, test" ;;
    esac
}

# Runs a command with the rights to install, or fails when there is no way to get them.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -- "$@"
    fi
}

may_install() {
    runs apt-get || return 1
    [ "$(id -u)" = 0 ] && return 0
    # A password can be asked for only at a terminal.
    runs sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

# Installs packages; the package lists are fetched only when the ones at hand do not serve.
install() {
    say "installing $*"
    # dpkg's own messages go to a file: they matter only when it fails.
    local log
    log="$(mktemp)"
    if ! apt install -y --no-install-recommends "$@" >"$log" 2>&1; then
        say "refreshing the package lists"
        apt update >"$log" 2>&1 || { cat "$log" >&2; die "apt-get update failed: see above"; }
        apt install -y --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log" >&2; die "apt-get install failed: see above"; }
    fi
    rm -f "$log"
}

ensure() {
    local group="$1" package check missing=()
    while read -r package check; do
        # shellcheck disable=SC2086  # A check is a command and its words.
        $check || missing+=("$package")
    done < <(needs "$group")
    if [ "${#missing[@]}" = 0 ]; then
        say "$group: everything is there"
        return
    fi
    if ! may_install; then
        die "$group: missing: ${missing[*]} (Debian's names). This script may not install them (it is neither root nor can it use sudo," \
            "or there is no apt-get). By hand, on Debian: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    install "${missing[@]}"
    while read -r package check; do
        # shellcheck disable=SC2086
        $check || die "$group: $package was installed, but \`$check\` still fails"
    done < <(needs "$group")
}

works() { "$1/prometheus" --version >/dev/null 2>&1 && "$1/promtool" --version >/dev/null 2>&1; }

# prometheus and promtool, in $tools/bin unless the machine has them.
prometheus() {
    if runs prometheus && runs promtool; then
        say "test: prometheus and promtool are there"
        return
    fi
    if works "$tools/bin"; then
        say "test: prometheus and promtool are in $tools/bin"
        return
    fi
    runs apt-get || die "test: missing: prometheus and promtool. Put both on PATH"
    say "unpacking Debian's prometheus into $tools (not installed: the package would start a server)"
    mkdir -p "$tools"
    local scratch
    scratch="$(mktemp -d "$tools/.prometheus-XXXXXX")"
    # shellcheck disable=SC2064  # The folder is known now and not later.
    trap "rm -rf '$scratch'" EXIT
    # apt checks the package against the archive's signed digests. Downloading asks for no rights; refreshing the lists does.
    if ! (cd "$scratch" && apt-get -qq download prometheus >/dev/null 2>&1); then
        may_install || die "test: prometheus cannot be downloaded: refresh the package lists with sudo apt-get update"
        say "refreshing the package lists"
        apt update >/dev/null || die "apt-get update failed: see above"
        (cd "$scratch" && apt-get -qq download prometheus >/dev/null) || die "test: prometheus cannot be downloaded: see above"
    fi
    dpkg-deb --fsys-tarfile "$scratch"/prometheus_*.deb | tar -x -C "$scratch" ./usr/bin
    works "$scratch/usr/bin" || die "test: the unpacked prometheus does not run: $("$scratch/usr/bin/prometheus" --version 2>&1 || true)"
    mkdir -p "$tools/bin"
    mv "$scratch/usr/bin/prometheus" "$scratch/usr/bin/promtool" "$tools/bin/"
}

[ "$#" -gt 0 ] || die "name what to prepare: build, data, test"
for group in "$@"; do
    ensure "$group"
    [ "$group" != test ] || prometheus
done
