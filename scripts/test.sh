#!/usr/bin/env bash
# Runs every test. Usage: bash scripts/test.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh test
# A team's server: the tests start a real one where Debian's package is there, and are skipped where it is not.
if [ "$(id -u)" = 0 ] && [ ! -e /usr/lib/postgresql ] && ! command -v initdb >/dev/null && command -v apt-get >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; } \
        >/dev/null 2>&1 || echo "PostgreSQL could not be installed; its tests are skipped." >&2
fi
# The pages are tested in a real browser: Debian's Chromium where it is there, skipped where it is not.
if [ "$(id -u)" = 0 ] && ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
        >/dev/null 2>&1 || echo "Chromium could not be installed; the tests in a browser are skipped." >&2
fi
exec "$PYTHON" -m pytest "$@"
