#!/usr/bin/env bash
# Does all set-up and passes all tests. What needs a GPU, torch or a network is skipped with a message.
SETUP_DEV=1
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

npm run --silent check
cd packages/evaluator
uv run --frozen ruff check
uv run --frozen ruff format --check
uv run --frozen pytest
