#!/usr/bin/env bash
# From a fresh clone to a whole search, in one command.
#
#   scripts/quickstart.sh                                   recorded replies; compiler, referee and every time are real
#   OPENAI_API_KEY=… scripts/quickstart.sh [--model-name M] [--base-url URL] [--model-price IN/OUT] [--budget-usd D]
#                                                           the same search, live (default: gpt-5-mini, at most $1)
#   --recorded                                              recorded replies although OPENAI_API_KEY is set
# Other flags go to `ksearch run`.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

problem=gqa_paged_decode_h8_kv2_d64_ps1_f32
recorded=0
args=()
for arg in "$@"; do
  if [ "$arg" = --recorded ]; then recorded=1; else args+=("$arg"); fi
done
has() { printf '%s\n' "${args[@]+"${args[@]}"}" | grep -qE -- "^$1(=|\$)"; }

common=(--world-model --lanes 4 --budget-attempts 24 --warmup-runs 3 --iterations 20 --num-trials 2)
if [ "$recorded" = 0 ] && has '--(llm|transcript)'; then
  say "a search as the flags say"
elif [ "$recorded" = 0 ] && { [ -n "${OPENAI_API_KEY:-${LLM_API_KEY:-}}" ] || has '--(model-name|base-url|model-price)'; }; then
  has --model-name || common+=(--model-name gpt-5-mini)
  has --budget-usd || common+=(--budget-usd 1)
  say "a model is named, or a key is set: a live search (--recorded replays one instead)"
else
  common+=(--transcript "problems/flashinfer/transcripts/$problem.jsonl")
  say "recorded replies: the model's words come from a transcript; compiler, referee and times are real"
fi
exec npx --no-install ksearch run "$problem" "${common[@]}" "${args[@]+"${args[@]}"}"
