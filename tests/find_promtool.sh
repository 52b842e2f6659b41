#!/usr/bin/env bash
# Prints where Prometheus' own checker lies; installs Debian's package when there is none and we may.
set -euo pipefail
if ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >&2
    # The server is not started: only its checker is wanted.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >&2
fi
if command -v promtool; then
    exit 0
fi
echo "The tests of alert rules need promtool. Install it (on Debian: sudo apt-get install prometheus)." >&2
exit 1
