#!/usr/bin/env bash
# Runs every test. Usage: bash scripts/test.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh test
exec "$PYTHON" -m pytest "$@"
