#!/usr/bin/env bash
# Prints the path of a Chromium; installs Debian's package when none is there and we may; else names what is missing.
set -euo pipefail
for name in "${OWNHAND_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$name" ] && command -v "$name" >/dev/null; then
        command -v "$name"
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >&2
    command -v chromium
    exit 0
fi
echo "The browser tests need Chromium and none was found. Install it (on Debian: sudo apt-get install chromium)" >&2
echo "or set OWNHAND_TEST_CHROMIUM to the path of a Chromium or Chrome." >&2
exit 1
