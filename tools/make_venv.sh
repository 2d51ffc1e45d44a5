#!/usr/bin/env bash
# Make, or bring up to date, the virtual environment that is the first argument. $PYTHON: which Python.
set -euo pipefail

good='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

candidates="${PYTHON:-python3 python3.13 python3.12 python3.11}"

find_python() {
    local candidate
    for candidate in $candidates; do
        if "$candidate" -c "$good" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "make: no Python 3.11 or newer with venv found (tried: $candidates); install one" \
        "(Debian: apt-get install python3 python3-venv), or name yours: make venv PYTHON=/path/to/python" >&2
    return 1
}

venv="$1"
if ! "$venv/bin/python" -c "$good" 2>/dev/null; then
    python="$(find_python)"
    echo "making $venv with $python ($("$python" -V))"
    "$python" -m venv --clear "$venv"
fi

echo "installing what pyproject.toml and constraints.txt name into $venv"
# --compile: without bytecode every Airflow process would compile Airflow again.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --compile \
    --constraint constraints.txt --editable '.[local,claude,acp,dev]'
