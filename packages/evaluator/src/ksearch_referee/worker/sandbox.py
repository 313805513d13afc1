"""What a worker takes from itself before it loads a kernel.

Each measure is best effort; the names of those that hold are reported in the verdict's `env.isolation`, and
`doctor` says of each what it is for (`measures.py`).

As root a worker leaves the host's namespaces and becomes a user of its own, if the driver has found one (`users.py`);
no other measure needs root. Where it stays root it is one without capabilities, an ordinary owner of its files.
"""

import ctypes
import os
import resource
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ksearch_referee.worker.identity import become, own_namespaces, raise_loopback
from ksearch_referee.worker.landlock import NO_MORE, Files, confine_files
from ksearch_referee.worker.seccomp import forbid_system_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x2008_0522
_LAST_CAPABILITY = 40
_NO_LIMIT = 1 << 62

Bounds = Mapping[str, Sequence[int]]
"""Resource limits, soft and hard, by their names without `RLIMIT_`."""


def _drop_bounds(libc: ctypes.CDLL) -> None:
    """Give up the right to ever get a capability back, from a file say."""
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Give up every capability for good (`capset(2)`): root is then an ordinary owner of its files."""
    _drop_bounds(libc)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    return libc.capset(header, none) == 0


def _die_first() -> bool:
    """Have the system, when memory runs out, kill this process rather than the driver or anything else of the host."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    except OSError:
        return False
    return True


def limit(bounds: Bounds) -> None:
    """Set resource limits of this process: by name (`NOFILE`) what it may take, and what it may ask for at most.

    More than it may have already stays what it may have.
    """
    for name, wanted in bounds.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        ceiling = resource.getrlimit(kind)[1]
        most = _NO_LIMIT if ceiling == resource.RLIM_INFINITY else ceiling
        soft, hard = (min(most, _NO_LIMIT if value == resource.RLIM_INFINITY else value) for value in wanted)
        resource.setrlimit(kind, (soft, ceiling if hard == _NO_LIMIT else hard))


def enter(
    *, user: int | None, bounds: Bounds, children: bool = False, files: Files = NO_MORE, filtered: bool = True
) -> list[str]:
    """Apply all measures to this process, in its folder `work`; return the names of those that this host gave.

    Args:
        user: whom to become; None: it stays who it is.
        bounds: its resource limits, see `limit`; set here, since a driver may lack the right to do it to another user.
        children: whether it may start other processes, as a compiler has to.
        files: what it may reach beside what every worker may.
        filtered: whether system calls are; a profiler needs some that no worker does (`counted.py`).

    Raises:
        OSError: it cannot become `user`, though a process like it could.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    limit(bounds)
    applied = {"rlimits": True, "dies-first": _die_first()}
    if user is not None:
        applied |= dict.fromkeys(own_namespaces(libc), True)
        if files.loopback:
            raise_loopback()
        _drop_bounds(libc)
        become(libc, user, [str(Path.cwd().parent), *files.readable, *files.writable])
        applied["own-user"] = True
    # After the change of users, which would undo it.
    applied |= {
        "dies-with-driver": libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0,
        "no-new-privs": libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no-capabilities": _drop_capabilities(libc),
        "landlock": confine_files(libc, Path.cwd().parent, files),
        "seccomp": filtered and forbid_system_calls(libc, os.getpid(), children=children, gpu=files.gpu),
    }
    return [name for name, holds in applied.items() if holds]


def die_with_parent() -> None:
    """Have the kernel end this process (the driver) by SIGTERM when its parent dies, and end in order when it does.

    A parent that had died before reads no answer any more: a pipe without a reader tells.
    """
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in reader.poll(0)):
        sys.exit(128 + signal.SIGTERM)


def hide_from_same_user() -> None:
    """Make this process (the driver) unreadable to others of its user: no ptrace, no `/proc/<pid>/mem` or `fd`."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
