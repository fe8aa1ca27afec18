#!/bin/sh
# Everything that must hold before a change lands; stops at the first failure.
set -eu
cd "$(dirname "$0")/.."
ruff format --check harness plugins tests
ruff check harness plugins tests
lint-imports
pyright
python -m pytest -n auto --dist loadfile "$@"
