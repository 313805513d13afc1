#!/usr/bin/env bash
# Sets up Weights & Biases for `ksearch run --wandb`: its Python package in a virtual environment of its own, about 80 MB.
# Safe to repeat. Not needed where KSEARCH_WANDB_PYTHON names a Python that has wandb 0.19 or later.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
sync_wandb
