#!/usr/bin/env bash
# Does all set-up and passes all tests. What needs a GPU, torch or a network is skipped with a message.
SETUP_DEV=1
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

bash scripts/cloud-servers.sh || say "the cloud's servers could not be set up: the tests that need them are skipped"
npm run --silent synth -- --install || say "the SST platform could not be installed: the tests that need it are skipped"

npm run --silent check
npx --no-install pyright -p packages/adapters/src/wandb
cd packages/evaluator
uv run --frozen ruff check . ../adapters/src/wandb
uv run --frozen ruff format --check . ../adapters/src/wandb
uv run --frozen pytest -n auto # as many at once as there are processors; what is timed runs alone
