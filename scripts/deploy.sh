#!/usr/bin/env bash
# Deploys a stage: the referee's app at Modal, then storage, steps and state machine on AWS. All that can be checked is checked
# before anything is made; --dry-run ends there and says what would be done. It needs neither a network nor a right key.
#
#   scripts/deploy.sh --stage NAME [--region REGION] [--dry-run]
#
# Secrets come from the environment and never stand in an argument:
#   OPENAI_API_KEY, GEMINI_API_KEY, LLM_API_KEY   one at least: whoever answers the prompts
#   MODAL_TOKEN_ID, MODAL_TOKEN_SECRET            from `modal token new` or modal.com/settings/tokens
# AWS credentials are found as the AWS SDK finds them (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...). Settings are the KSEARCH_ variables
# of stacks/stage.ts, or a file .env.<stage>. Ends with 3 and the mend where something is missing or wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
die() { printf 'deploy: %s\n' "$*" >&2; exit 3; }

stage= region= dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --stage | --region)
      [ $# -ge 2 ] || die "$1 wants a value"
      if [ "$1" = --stage ]; then stage=$2; else region=$2; fi
      shift 2
      ;;
    --dry-run) dry_run=1; shift ;;
    *) die "$1 is not known: scripts/deploy.sh --stage NAME [--region REGION] [--dry-run]" ;;
  esac
done
[ -n "$stage" ] || die "which stage? scripts/deploy.sh --stage NAME (production is the one that is retained and protected)"

# Tools. Node and SST come with the packages, Modal's with the referee's Python.
node=node_modules/.bin/node
[ -x "$node" ] && [ -x node_modules/.bin/sst ] || die "the packages are missing: run npm ci"
[ ! -x .tools/bin/uv ] || PATH="$PWD/.tools/bin:$PATH"
command -v uv >/dev/null || die "uv is missing: install it (docs.astral.sh/uv), or run scripts/setup.sh, which puts it into .tools/"
[ -f packages/evaluator/modal_app.py ] || die "packages/evaluator/modal_app.py is missing: this checkout is not whole"

# Settings, secrets, credentials.
export AWS_EC2_METADATA_DISABLED=true SST_TELEMETRY_DISABLED=1
settings=$("$node" scripts/deploy-checks.ts --stage "$stage" ${region:+--region "$region"}) || exit 3
[ -z "$region" ] || export KSEARCH_REGION=$region
modal_app=ksearch-referee-$stage

# The functions build, and the stage synthesises: every resource, its types, the state machine's document.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$node" -e 'import("./scripts/bundles.ts").then((bundles) => bundles.buildFunctions(process.argv[1]))' "$work/bundles" >&2 ||
  die "a function does not build: see above"
"$node" scripts/synth.ts --stage "$stage" >"$work/table" || exit 3
PATH="$PWD/node_modules/.bin:$PATH" "$node" scripts/stacks-types.ts >&2 || die "stacks/ does not typecheck: see above"

say "stage: $settings"
say "$(tail -n 2 "$work/table" | head -n 1 | sed 's/^ *//') on AWS; the referee's app at Modal: $modal_app"
if [ "$dry_run" = 1 ]; then
  given=
  for name in OPENAI_API_KEY GEMINI_API_KEY LLM_API_KEY MODAL_TOKEN_ID MODAL_TOKEN_SECRET; do
    [ -z "${!name:-}" ] || given="$given $name"
  done
  say "dry run, nothing was made. It would"
  say "  1. deploy packages/evaluator/modal_app.py as $modal_app"
  say "  2. load the secrets$given"
  say "  3. deploy the stage: npx sst deploy --stage $stage"
  exit 0
fi

say "1/3 the referee at Modal"
KSEARCH_MODAL_APP=$modal_app uv run --project packages/evaluator --frozen --group modal modal deploy packages/evaluator/modal_app.py

say "2/3 secrets"
# In a file of the caller's alone, as SST reads one; what is not set here keeps the value that the stage has.
(
  umask 077
  write() { [ -z "${!2:-}" ] || printf '%s=%s\n' "$1" "${!2}"; }
  {
    write OpenaiApiKey OPENAI_API_KEY
    write GeminiApiKey GEMINI_API_KEY
    write LlmApiKey LLM_API_KEY
    write ModalTokenId MODAL_TOKEN_ID
    write ModalTokenSecret MODAL_TOKEN_SECRET
  } >"$work/secrets"
)
node_modules/.bin/sst secret load "$work/secrets" --stage "$stage"
rm -f "$work/secrets"

say "3/3 storage, steps and state machine on AWS"
node_modules/.bin/sst deploy --stage "$stage"
say "done: npx ksearch run --engine cloud --stage $stage ..."
