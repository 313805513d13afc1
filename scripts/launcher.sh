#!/usr/bin/env bash
# What the launchers share. Sourced: it collects `args` for `ksearch run` from variables of the environment, each under the
# name of its flag. Keys are read from the environment by ksearch itself and never stand in an argument.
set -euo pipefail
launched_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

args=()
# value FLAG VARIABLE: the flag with the variable's value, unless that is empty.
value() { [ -z "${!2:-}" ] || args+=("--$1" "${!2}"); }
# path FLAG VARIABLE: as `value`; a path that is not absolute is meant from where the launcher was called.
path() {
  local given=${!2:-}
  [ -z "$given" ] && return
  case $given in /* | auto) ;; *) [ ! -e "$launched_from/$given" ] || given=$launched_from/$given ;; esac
  args+=("--$1" "$given")
}
# switch FLAG VARIABLE: the flag where the variable is 1, nothing where it is 0 or empty.
switch() {
  case ${!2:-0} in
    1) args+=("--$1") ;;
    0) ;;
    *) printf '%s is %q: 1 or 0\n' "$2" "${!2}" >&2; exit 2 ;;
  esac
}
# words FLAG VARIABLE: the flag with the variable's words as its values.
words() {
  [ -z "${!2:-}" ] && return
  local each
  read -ra each <<<"${!2}"
  args+=("--$1" "${each[@]}")
}

# The variables that all launchers know.
common() {
  value model-name MODEL_NAME
  value base-url BASE_URL
  value llm LLM
  path transcript TRANSCRIPT
  value language LANGUAGE
  value target-gpu TARGET_GPU
  value referee REFEREE
  value max-opt-rounds MAX_OPT_ROUNDS
  value lanes LANES
  value budget-usd BUDGET_USD
  value seed SEED
  path artifacts-dir ARTIFACTS_DIR
  path continue-from-solution CONTINUE_FROM_SOLUTION
  switch save-solutions SAVE_SOLUTIONS
  switch wandb WANDB
  if [ "${WANDB:-0}" = 1 ]; then
    value wandb-project WANDB_PROJECT
    value run-name RUN_NAME
  fi
  case ${WORLD_MODEL:-1} in
    1)
      switch world-model WORLD_MODEL
      value policy POLICY
      value wm-stagnation-window WM_STAGNATION_WINDOW
      value wm-max-difficulty WM_MAX_DIFFICULTY
      path continue-from-world-model CONTINUE_FROM_WORLD_MODEL
      ;;
    0) ;;
    *) printf 'WORLD_MODEL is %q: 1 or 0\n' "$WORLD_MODEL" >&2; exit 2 ;;
  esac
}

# Runs the search; further arguments of the launcher follow, so that they win over nothing and are told where they contradict.
launch() {
  read -ra ksearch <<<"${KSEARCH:-npx --no-install ksearch}"
  exec "${ksearch[@]}" run "${args[@]}" "$@"
}
