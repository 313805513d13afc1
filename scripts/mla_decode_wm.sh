#!/usr/bin/env bash
# FlashInfer-Bench's MLA paged decode with the world model. DATASET_ROOT is a clone of the flashinfer-trace dataset. The key:
# GEMINI_API_KEY, OPENAI_API_KEY or LLM_API_KEY in the environment.
# Variables, with their defaults; an empty one leaves its flag to ksearch:
: "${DATASET_ROOT=}"                  # --task-path; empty: the definitions that come along, without the baseline
: "${DEFINITION=mla_paged_decode_h16_ckv512_kpe64_ps1}" # --definition
: "${MODEL_NAME=gemini-3-pro-preview}" # --model-name
: "${BASE_URL=}"                      # --base-url
: "${LANGUAGE=cuda}"                  # --language
: "${TARGET_GPU=H100}"                # --target-gpu
: "${MAX_OPT_ROUNDS=20}"              # --max-opt-rounds
: "${WORLD_MODEL=1}"                  # --world-model; 0: drafts alone
: "${WM_STAGNATION_WINDOW=7}"         # --wm-stagnation-window
: "${WM_MAX_DIFFICULTY=}"             # --wm-max-difficulty
: "${BASELINE_SOLUTION=${DATASET_ROOT:+flashinfer_wrapper_03f7b0}}" # --baseline-solution
: "${FEEDBACK_WORKLOADS=bd2dae14-7bae-4edb-964f-2163accf506e 84221f45-78f8-4d44-84f6-998153d2c1fa d0da33e2-2d94-42b5-be8a-09111f9f2649 e417264f-195d-4204-89fa-3ebdb539f1cf 939f995a-1ab2-4d19-8d94-50f07e73542d}" # --feedback-workloads
: "${FEEDBACK_TRACE_POLICY=first}"    # --feedback-trace-policy
: "${WARMUP_RUNS=10}"                 # --warmup-runs
: "${ITERATIONS=10}"                  # --iterations
: "${NUM_TRIALS=1}"                   # --num-trials
: "${USE_ISOLATED_RUNNER=1}"          # --use-isolated-runner
: "${PARALLEL_WORKLOADS=1}"           # --parallel-workloads
: "${MAX_PARALLEL_WORKLOADS=0}"       # --max-parallel-workloads
: "${NUM_EVAL_WORKLOAD=}"             # --num-eval-workload
: "${NO_SAVE_RESULTS=0}"              # --no-save-results
: "${CONTINUE_FROM_SOLUTION=}"        # --continue-from-solution; the original begins with an MMA kernel of its own
: "${CONTINUE_FROM_WORLD_MODEL=}"     # --continue-from-world-model: auto or a path
: "${ARTIFACTS_DIR=.ksearch}"         # --artifacts-dir
: "${SAVE_SOLUTIONS=1}"               # --save-solutions
: "${WANDB=1}"                        # --wandb, with --wandb-project (WANDB_PROJECT) and --run-name (RUN_NAME)
# Beside them: POLICY LANES BUDGET_USD SEED REFEREE LLM TRANSCRIPT, each for the flag of its name.
source "$(dirname "${BASH_SOURCE[0]}")/launcher.sh"

args+=(--task-source flashinfer)
path task-path DATASET_ROOT
value definition DEFINITION
common
value baseline-solution BASELINE_SOLUTION
words feedback-workloads FEEDBACK_WORKLOADS
value feedback-trace-policy FEEDBACK_TRACE_POLICY
value warmup-runs WARMUP_RUNS
value iterations ITERATIONS
value num-trials NUM_TRIALS
switch use-isolated-runner USE_ISOLATED_RUNNER
switch parallel-workloads PARALLEL_WORKLOADS
value max-parallel-workloads MAX_PARALLEL_WORKLOADS
value num-eval-workload NUM_EVAL_WORKLOAD
switch no-save-results NO_SAVE_RESULTS
launch "$@"
