#!/usr/bin/env bash
# The whole way on a real review: import, dedupe, filter, rank, screen, estimate, report, export.
# Usage: bash scripts/demo.sh [FOLDER]        (default: demo-review in the clone)
set -euo pipefail
folder="${1:-}"
case "$folder" in
    "" | /*) ;;
    *) folder="$PWD/$folder" ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh ""
exec "$PYTHON" -m triage demo "${folder:-demo-review}"
