"""Triton's compiler in a worker that may not start it: what it compiled before, in a builder, it finds in its cache."""

import importlib
from typing import Any


def ask_versions(capability: int) -> None:
    """Have Triton, where it is installed, ask for its tools' versions, which its cache is keyed by, and remember them.

    It asks by starting them, so this has to happen before the worker is confined. Nothing of a kernel is loaded yet.
    """
    try:
        backends, compiler, build = (
            importlib.import_module(f"triton.{name}")
            for name in ("backends.compiler", "compiler.compiler", "runtime.build")
        )
    except ImportError:
        return
    target: Any = backends.GPUTarget("cuda", capability, 32)
    compiler.make_backend(target).hash()
    build.platform_key()
