# Sourced by demo.sh and test.sh: makes or updates .venv in the clone, so that $PYTHON runs triage.
# Usage: source scripts/setup.sh [EXTRA]        (from the root of the clone)

extra="${1:-}"
PYTHON="$PWD/.venv/bin/python"
case "${OSTYPE:-}" in msys* | cygwin*) PYTHON="$PWD/.venv/Scripts/python.exe" ;; esac # Git's bash on Windows

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "triage needs Python 3.11 or newer on the PATH; install it and run this script again." >&2
    return 1
}

if ! "$PYTHON" -c '' 2>/dev/null; then
    base_python="$(find_python)"
    rm -rf .venv
    "$base_python" -m venv .venv || {
        echo "Python could not make a virtual environment; on Debian and Ubuntu install python3-venv first." >&2
        exit 1
    }
fi

# What is installed is right as long as the two files that name it have not changed.
wanted="$(cat pyproject.toml constraints.txt | cksum) ${PWD}"
stamp=".venv/installed-${extra:-run}"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing triage and what it needs into .venv (some minutes the first time) ..." >&2
    # torch by its exact version, first: a range would take the newest build with gigabytes of CUDA.
    torch="$(grep '^torch==' constraints.txt)"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "$torch"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
        --editable ".[figures,llm,parquet,team${extra:+,$extra}]"
    echo "$wanted" >"$stamp"
fi
