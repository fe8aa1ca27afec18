#!/bin/sh
# Everything that must hold before a change lands. Types are checked while the tests run, which leave a core idle at times.
set -eu
cd "$(dirname "$0")/.."
ruff format --check harness plugins tests
ruff check harness plugins tests
lint-imports
types=$(mktemp)
trap 'rm -f "$types"' EXIT
nice pyright >"$types" 2>&1 &
checker=$!
status=0
python -m pytest -n auto --dist loadfile "$@" || status=$?
wait "$checker" || status=$?
cat "$types"
exit "$status"
