#!/usr/bin/env bash
# Runs the fast checks and then every test. Usage: bash scripts/test.sh [pytest options]
# Of the checks alone: bash scripts/test.sh --checks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh test

# The fast checks first: each ends the run where it fails. Their configuration is in pyproject.toml and .oxlintrc.json.
tool() { "$PYTHON" -m "$@"; }
check() {
    echo "== $1"
    shift
    "$@"
}
check "Lint (ruff check)" tool ruff check --quiet .
check "Format (ruff format --check)" tool ruff format --quiet --check .
if grep -q '^\[tool\.mypy\]' pyproject.toml; then check "Types (mypy)" tool mypy; fi
check "Spelling (codespell)" tool codespell_lib triage docs tests scripts README.md CONTRIBUTING.md CHANGELOG.md
check "Scripts of the pages (oxlint)" "$(dirname "$PYTHON")/oxlint" --quiet triage/web/static
if [ "${1:-}" = --checks ]; then exit; fi

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
echo "== Tests (pytest)"
if [ $# -gt 0 ]; then exec "$PYTHON" -m pytest "$@"; fi
exec "$PYTHON" scripts/tools/coverage_floor.py  # every test, and a floor under the coverage of what matters most
