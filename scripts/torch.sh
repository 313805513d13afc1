#!/usr/bin/env bash
# Gives the referee's Python torch, and triton where it has a wheel: for problems whose reference is torch code (GPU MODE,
# KernelBench) and for Triton kernels. Safe to repeat: what is there already is kept.
#
# A Python that has torch 2.8 or later is used as it is: the one that KSEARCH_TORCH_PYTHON names, or python3. Otherwise
# torch is installed: without GPU libraries where PyTorch's own index is in reach, else from PyPI with them.
# --install: never mind what other Pythons have.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

torch_version=2.15.0
triton_version=3.9.0
venv=packages/evaluator/.venv
python=$venv/bin/python
export UV_PYTHON_DOWNLOADS=never

# Says the versions of torch and triton that a Python has, as the referee's workers start it; fails below torch 2.8.
torch_of() {
  "$1" -I - 2>/dev/null <<'PYTHON'
import importlib.metadata, sys
import torch
if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 8) or sys.version_info < (3, 11):
    sys.exit(1)
try:
    triton = "triton " + importlib.metadata.version("triton")
except importlib.metadata.PackageNotFoundError:
    triton = "no triton"
print(f"torch {torch.__version__}, {triton}")
PYTHON
}

# Builds the referee's environment anew on a Python that has torch, so that it sees what that one sees.
build_on() {
  uv venv --quiet --clear --system-site-packages --python "$1" "$venv"
  uv sync "${uv_flags[@]}"
  # A virtual environment's packages are none of the system's: name their folder.
  "$1" -I -c 'import sys, sysconfig; print(sysconfig.get_path("purelib") if sys.prefix != sys.base_prefix else "")' \
    > "$("$python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ksearch-torch.pth"
}

install() {
  say "torch $torch_version without GPU libraries, from the index of PyTorch: about 1 GB on disk …"
  # Workers write no bytecode: without it every one of them would compile torch's 2,500 files anew.
  if ! uv pip install --compile-bytecode --python "$python" --torch-backend cpu "torch==$torch_version"; then
    say "that index is not in reach. torch $torch_version from PyPI, with its GPU libraries: 5.5 GB on disk …"
    uv pip install --compile-bytecode --python "$python" "torch==$torch_version" || die "torch cannot be installed: see above"
  fi
  uv pip install --quiet --compile-bytecode --python "$python" "triton==$triton_version" ||
    say "there is no triton for this machine: Triton kernels cannot be judged here"
}

if found=$(torch_of "$python"); then
  say "torch: there already"
else
  chosen=
  if [ "${1:-}" != --install ]; then
    for candidate in "${KSEARCH_TORCH_PYTHON:-}" python3; do
      if [ -n "$candidate" ] && other=$(torch_of "$candidate"); then
        chosen=$candidate
        break
      fi
    done
    [ -z "${KSEARCH_TORCH_PYTHON:-}" ] || [ "$chosen" = "$KSEARCH_TORCH_PYTHON" ] ||
      die "KSEARCH_TORCH_PYTHON is $KSEARCH_TORCH_PYTHON, which has no torch 2.8 or later on Python 3.11 or later"
  fi
  if [ -n "$chosen" ]; then
    say "torch: that of $chosen ($other)"
    build_on "$(command -v "$chosen")"
  else
    install
  fi
  found=$(torch_of "$python") || die "$python has no torch still: remove $venv and try again"
fi
say "the referee's Python has $found"
