#!/bin/sh
# Opens triage in the browser. Closing this window ends it; every decision is kept.
cd "$HOME/Documents" 2>/dev/null || cd "$HOME" || exit
PATH="$HOME/.local/bin:$PATH"
if ! command -v triage >/dev/null; then
    echo "triage is not installed: see docs/install.md."
    exit 1
fi
exec triage
