"""What a problem's author may do about code of theirs that failed, read out of what it raised."""

import re

from ksearch_referee.failures import KernelFailure

_NO_MODULE = re.compile(r"No module named '([^']+)'")
_GPU = re.compile(r"No CUDA GPUs|compiled with CUDA|'CUDA' backend|NVIDIA driver|\bcuda:?\d*'")
_CUDA = re.compile(r"\bcuda\w*\.h\b|\bcuda[A-Z]\w*|\b__(?:global|device|host)__")
_HUB = re.compile(r"hugging\s?face|hf\.co|from_pretrained|LocalEntryNotFound", re.IGNORECASE)
_PRETRAINED = re.compile(r"""(?:from_pretrained\(\s*|\bmodel_name\s*=\s*)["']([^"']+)["']""")


def missing_module(failure: KernelFailure) -> str:
    """Name the module that the referee's Python lacks."""
    match = _NO_MODULE.search(failure.message)
    if match is None or failure.raised != "ModuleNotFoundError":
        return ""
    return f"the problem needs the module '{match[1].split('.')[0]}', which the referee's Python does not have"


def missing_gpu(failure: KernelFailure) -> str:
    """Say that code asks for a GPU where a CPU judges."""
    if _GPU.search(failure.message) is None:
        return ""
    return "the problem's code asks for a GPU, and this request's device is `cpu`"


def missing_cuda(failure: KernelFailure) -> str:
    """Say that code in C++ is CUDA's where a CPU's compiler is asked."""
    if failure.status != "compile_error" or _CUDA.search(failure.message) is None:
        return ""
    return "the problem's code is CUDA's: with the device `cpu` it is compiled as C++ alone"


def missing_weights(failure: KernelFailure, source: str) -> str:
    """Name the pretrained weights that a problem wants to load from a hub."""
    if _HUB.search(f"{failure.message} {failure.detail}") is None:
        return ""
    names = ", ".join(f"'{name}'" for name in dict.fromkeys(_PRETRAINED.findall(source))) or "it names"
    return f"the problem needs the pretrained weights {names}; workers reach neither the network nor a cache of yours"
