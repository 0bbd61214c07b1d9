#!/usr/bin/env bash
# Fetches the jars of Apache Kafka 4.3.1 (broker, controller and tools) with Maven and prints the folder that holds them:
#
#   java -cp "$(deploy/setup/kafka.sh)/*" org.apache.kafka.tools.TopicCommand --help
#
# Every jar is checked against kafka/libs.sha256 each time, and a folder that differs is made again.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/latentd"
libs="$cache/kafka/4.3.1/libs"

say() { echo "setup: kafka: $*" >&2; }
die() { echo "setup: kafka: error: $*" >&2; exit 1; }

# Whether a folder holds these jars and no other.
whole() {
    [ -d "$1" ] || return 1
    local found
    found="$(find "$1" -mindepth 1 | wc -l)"
    [ "$found" = "$(wc -l <"$here/kafka/libs.sha256")" ] || return 1
    (cd "$1" && sha256sum --check --quiet --strict "$here/kafka/libs.sha256" >/dev/null 2>&1)
}

if whole "$libs"; then
    say "Apache Kafka 4.3.1 is in $libs"
else
    for program in java mvn; do
        command -v "$program" >/dev/null || die "no \`$program\` on PATH: install Java 17 and Maven, or run deploy/setup/debian.sh test"
    done
    say "fetching Apache Kafka 4.3.1 with Maven (54 MB)"
    mkdir -p "$(dirname "$libs")"
    scratch="$(mktemp -d "$(dirname "$libs")/.libs-XXXXXX")"
    trap 'rm -rf "$scratch"' EXIT
    if ! mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$scratch/libs" -DincludeScope=runtime >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        die "Maven could not fetch the jars: see above"
    fi
    if ! whole "$scratch/libs"; then
        (cd "$scratch/libs" && sha256sum --check --quiet "$here/kafka/libs.sha256" >&2) || true
        die "what Maven fetched differs from kafka/libs.sha256: see above"
    fi
    # Of two set-ups at once, the second finds the folder made and leaves it alone.
    if ! whole "$libs"; then
        rm -rf "$libs"
        mv -T "$scratch/libs" "$libs" 2>/dev/null || whole "$libs" || die "cannot write $libs"
    fi
fi
echo "$libs"
