#!/usr/bin/env bash
# A KernelBench problem with the world model. KERNELBENCH_ROOT is a checkout of KernelBench, a folder of its dataset, or one
# problem's file. The key: OPENAI_API_KEY or LLM_API_KEY in the environment.
# Variables, with their defaults; an empty one leaves its flag to ksearch:
: "${KERNELBENCH_ROOT=}"              # --task-path; empty: the problems that come along
: "${KERNELBENCH_LEVEL=1}"            # --kernelbench-level
: "${KERNELBENCH_PROBLEM_ID=1}"       # --kernelbench-problem-id
: "${KERNELBENCH_EVAL_MODE=local}"    # --kernelbench-eval-mode
: "${KERNELBENCH_NUM_CORRECT_TRIALS=5}" # --kernelbench-num-correct-trials
: "${KERNELBENCH_NUM_PERF_TRIALS=100}" # --kernelbench-num-perf-trials
: "${MODEL_NAME=gpt-5.2}"             # --model-name
: "${BASE_URL=}"                      # --base-url
: "${LANGUAGE=triton}"                # --language
: "${TARGET_GPU=H100}"                # --target-gpu
: "${MAX_OPT_ROUNDS=50}"              # --max-opt-rounds
: "${WORLD_MODEL=1}"                  # --world-model; 0: drafts alone
: "${WM_STAGNATION_WINDOW=5}"         # --wm-stagnation-window
: "${WM_MAX_DIFFICULTY=}"             # --wm-max-difficulty
: "${CONTINUE_FROM_SOLUTION=}"        # --continue-from-solution
: "${CONTINUE_FROM_WORLD_MODEL=}"     # --continue-from-world-model: auto or a path
: "${ARTIFACTS_DIR=.ksearch}"         # --artifacts-dir
: "${SAVE_SOLUTIONS=1}"               # --save-solutions
: "${WANDB=0}"                        # --wandb, with --wandb-project (WANDB_PROJECT) and --run-name (RUN_NAME)
# Beside them: POLICY LANES BUDGET_USD SEED REFEREE LLM TRANSCRIPT, each for the flag of its name.
source "$(dirname "${BASH_SOURCE[0]}")/launcher.sh"

args+=(--task-source kernelbench)
path task-path KERNELBENCH_ROOT
common
value kernelbench-level KERNELBENCH_LEVEL
value kernelbench-problem-id KERNELBENCH_PROBLEM_ID
value kernelbench-eval-mode KERNELBENCH_EVAL_MODE
value kernelbench-num-correct-trials KERNELBENCH_NUM_CORRECT_TRIALS
value kernelbench-num-perf-trials KERNELBENCH_NUM_PERF_TRIALS
launch "$@"
