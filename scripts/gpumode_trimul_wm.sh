#!/usr/bin/env bash
# GPU MODE's TriMul with the world model. The key: OPENAI_API_KEY or LLM_API_KEY in the environment.
# Variables, with their defaults; an empty one leaves its flag to ksearch:
: "${MODEL_NAME=gpt-5.2}"             # --model-name
: "${BASE_URL=}"                      # --base-url
: "${LANGUAGE=triton}"                # --language
: "${TARGET_GPU=H100}"                # --target-gpu
: "${MAX_OPT_ROUNDS=300}"             # --max-opt-rounds
: "${WORLD_MODEL=1}"                  # --world-model; 0: drafts alone
: "${WM_STAGNATION_WINDOW=5}"         # --wm-stagnation-window
: "${WM_MAX_DIFFICULTY=}"             # --wm-max-difficulty
: "${CONTINUE_FROM_SOLUTION=}"        # --continue-from-solution
: "${CONTINUE_FROM_WORLD_MODEL=${WORLD_MODEL_JSON:-}}" # --continue-from-world-model (also as WORLD_MODEL_JSON): auto or a path
: "${GPUMODE_MODE=leaderboard}"       # --gpumode-mode
: "${GPUMODE_TASK_DIR=}"              # --gpumode-task-dir; empty: the TriMul that comes along
: "${GPUMODE_KEEP_TMP=0}"             # --gpumode-keep-tmp
: "${ARTIFACTS_DIR=.ksearch-output-gpumode}" # --artifacts-dir
: "${SAVE_SOLUTIONS=1}"               # --save-solutions
: "${WANDB=1}"                        # --wandb, with --wandb-project (WANDB_PROJECT) and --run-name (RUN_NAME)
# Beside them: POLICY LANES BUDGET_USD SEED REFEREE LLM TRANSCRIPT, each for the flag of its name.
source "$(dirname "${BASH_SOURCE[0]}")/launcher.sh"

args+=(--task-source gpumode)
common
value gpumode-mode GPUMODE_MODE
path gpumode-task-dir GPUMODE_TASK_DIR
switch gpumode-keep-tmp GPUMODE_KEEP_TMP
launch "$@"
