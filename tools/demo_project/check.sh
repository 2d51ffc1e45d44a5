#!/usr/bin/env bash
# Install the pins into .venv beside this file, and run the tests with them.
set -euo pipefail
cd "$(dirname "$0")"

python="${UPGRADE_PYTHON:-python3}"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
.venv/bin/python -m pip check --quiet --disable-pip-version-check
.venv/bin/python -m unittest --quiet
