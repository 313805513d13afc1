"""The measures that keep foreign code apart, each with what it is for and what stands in where a host lacks it.

A worker reports the names of those that hold (`worker/sandbox.py`), a verdict lists them as `env.isolation`, and
`doctor` shows them as a table. docs/referee/isolation.md says what each kind of host gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ksearch_referee import users


@dataclass(frozen=True)
class Measure:
    """One measure: what it stops, and what is left of that without it."""

    name: str
    stops: str
    without: str


PARCELS = "gpu-parcels"
"""The one that no worker reports: whether one can open another's memory of the GPU takes two of them."""

MEASURES = (
    Measure("process", "seeing expected values, ending the driver by a crash", "holds everywhere"),
    Measure("empty-env", "reading secrets and paths from the environment", "holds everywhere"),
    Measure("rlimits", "taking all memory, descriptors and disk", "holds everywhere"),
    Measure("own-user", "touching what is the driver's or another worker's", "seccomp and Landlock stop the same"),
    Measure("network-namespace", "reaching a network, or abstract sockets", "seccomp denies every socket"),
    Measure("ipc-namespace", "leaving messages in System V memory and queues", "seccomp denies the calls"),
    Measure("no-capabilities", "what root may do beyond owning its files", "the container's own bounds"),
    Measure("no-new-privs", "getting rights back by starting a set-uid program", "no program is started (seccomp)"),
    Measure("seccomp", "sockets, other processes, ptrace, process_vm_*", "namespaces and the user, where they hold"),
    Measure("landlock", "reading and writing files but its own", "the user, where it holds; else the container's"),
    Measure("dies-with-driver", "outliving a driver that is killed", "its channel ends, and so does an honest worker"),
    Measure("dies-first", "having the driver killed when memory runs out", "the system chooses whom it kills"),
    Measure(PARCELS, "a GPU's work on inputs before the clock runs", "copied by the host; undercutNs counts the time"),
)


def table(holding: Sequence[str], *, gpu: bool) -> list[dict[str, Any]]:
    """Return a row a measure: whether it holds here, what it stops, and otherwise what stands in and why.

    Those that are about a GPU only where there is one.
    """
    return [
        {"name": m.name, "holds": m.name in holding, "stops": m.stops, "instead": _instead(m, holding)}
        for m in MEASURES
        if gpu or m.name != PARCELS
    ]


def _instead(measure: Measure, holding: Sequence[str]) -> str | None:
    if measure.name in holding:
        return None
    needs_root = ("own-user", "network-namespace", "ipc-namespace")
    reason = users.why_none() if measure.name in needs_root else None
    return measure.without if reason is None else f"{measure.without} ({reason})"


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the table for people."""
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        mark, told = ("yes", row["stops"]) if row["holds"] else ("no", f"{row['stops']}; instead: {row['instead']}")
        yield f"  {row['name']:<{width}}  {mark:<3}  {told}"
