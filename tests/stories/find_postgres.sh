#!/usr/bin/env bash
# Prints the folder of the newest of Debian's PostgreSQL servers; installs the package when none is there and we may.
set -euo pipefail
newest() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }
if [ -z "$(newest)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
fi
if [ -n "$(newest)" ]; then
    newest
    exit 0
fi
echo "The tests against a PostgreSQL server need one. Install it (on Debian: sudo apt-get install postgresql)." >&2
exit 1
