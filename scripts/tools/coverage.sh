#!/usr/bin/env bash
# How much of recall, the log and the formats is run by the tests about them; fails below 95 % of lines and branches.
# Usage: bash scripts/tools/coverage.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/setup.sh test
exec "$PYTHON" -m pytest tests/test_recall_*.py tests/test_stopping_rules.py tests/test_decisions.py tests/test_batches.py \
    tests/test_formats*.py --cov=triage.recall --cov=triage.log --cov=triage.formats --cov-report=term --cov-fail-under=95 "$@"
