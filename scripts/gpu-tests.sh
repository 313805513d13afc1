#!/usr/bin/env bash
# Runs the referee's GPU tests on a machine with a GPU, Python 3.11 or later with torch and triton, nvcc and g++; with
# neither a network nor uv. Prints a table of what ran. Ends with pytest's status.
#
#   [PYTHON=…] scripts/gpu-tests.sh [--wheels FOLDER] [--tables FOLDER] [--part gpu|gpu_timed] [pytest's own arguments]
#
# PYTHON is the one that has torch (python3). --wheels: where the wheels lie of what it lacks of jsonschema,
# jsonschema-specifications, referencing, rpds-py, attrs, ml_dtypes, numpy and pytest. --part: only the functional tests,
# or only those that take times. --tables: where the tables of exploits and honest kernels go (redteam-gpu.md), the list
# of all tests with their figures (gpu-tests.txt), and what pytest found (*.xml), which later calls with the same folder
# add to. Where the machine is lent for a time, `--limit-s SECONDS -vv` among pytest's arguments skips what has not begun
# by then, each part by itself, and names what ran also if the end is cut off.
set -euo pipefail

wheels=
tables=
parts="gpu gpu_timed"
while true; do
  case "${1:-}" in
    --wheels) wheels=$(realpath "$2") ;;
    --tables) mkdir -p "$2" && tables=$(realpath "$2") ;;
    --part) parts=$2 ;;
    *) break ;;
  esac
  shift 2
done
cd "$(dirname "${BASH_SOURCE[0]}")/../packages/evaluator"

python=${PYTHON:-python3}
environment=$(mktemp -d)
chmod 755 "$environment" # workers of other users read it
trap 'rm -rf "$environment"' EXIT
"$python" -m venv --system-site-packages --without-pip "$environment"
site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# A virtual environment's packages are none of the system's: their folder, like the referee's own, is named in a .pth.
{
  realpath src
  "$python" -c 'import sys, sysconfig; print(sysconfig.get_path("purelib") if sys.prefix != sys.base_prefix else "")'
} > "$site/ksearch.pth"

missing=$("$environment/bin/python" - <<'PYTHON'
import importlib.util
for module in ("torch", "numpy", "jsonschema", "jsonschema_specifications", "referencing", "rpds", "attrs", "ml_dtypes", "pytest"):
    if importlib.util.find_spec(module) is None:
        print(module)
PYTHON
)
if [ -n "$missing" ] && [ -n "$wheels" ]; then
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
elif [ -n "$missing" ]; then
  echo "gpu-tests: $python lacks" $missing "- name a folder of wheels with --wheels" >&2
  exit 3
fi

"$environment/bin/python" -m ksearch_referee doctor --json | "$environment/bin/python" -c '
import json, sys
doctor = json.load(sys.stdin)
told = ("gpu", "driver", "cuda", "torch", "torchCuda", "triton", "nvcc", "cpu", "isolation", "warnings", "reasons", "judgesOnGpu")
print("\n".join(f"{key}: {doctor.get(key)}" for key in told))' | tee "$environment/gpu-tests.txt"

# Times are taken when nothing else runs; all else as many at once as pytest-xdist can do, where it is there.
found=${tables:-$environment}
status=0
for part in $parts; do
  spread=()
  [ "$part" = gpu_timed ] || ! "$environment/bin/python" -c 'import xdist' 2>/dev/null || spread=(-n 6)
  results=$found/$part-$(date +%s).xml
  "$environment/bin/python" -m pytest -m "$part" "${spread[@]}" -o junit_family=xunit1 --junitxml "$results" "$@" || status=$?
done

"$environment/bin/python" - "$found"/*.xml <<'PYTHON' | tee -a "$environment/gpu-tests.txt"
import sys
from xml.etree import ElementTree

for path in sys.argv[1:]:
    for case in ElementTree.parse(path).iter("testcase"):
        outcomes = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        print(f"{outcomes[0] if outcomes else 'passed':8} {float(case.get('time', 0)):6.1f} s  {case.get('name')}")
        for told in case.iter("property"):
            if told.get("name") not in ("exploit", "honest"):  # those are for the tables
                print(f"{'':19}{told.get('value')}")
PYTHON

where=$("$environment/bin/python" -c '
import datetime
from ksearch_referee.environment import package_version
from ksearch_referee.gpus import visible_gpu
gpu = visible_gpu()
versions = ", ".join(f"{name} {package_version(name)}" for name in ("numpy", "torch", "triton") if package_version(name))
print(f"On {datetime.date.today()}, {gpu.name if gpu else None}, {versions}")')
"$environment/bin/python" tests/tables.py "$where" "$found"/*.xml > "$environment/redteam-gpu.md" || status=1
sed -n 5,6p "$environment/redteam-gpu.md"
[ -z "$tables" ] || cp "$environment"/{redteam-gpu.md,gpu-tests.txt} "$tables/"
exit "$status"
