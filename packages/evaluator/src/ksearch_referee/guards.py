"""Guards over the timed calls of one workload: the driver's clocks against the worker's claims.

A worker's claim is exact, and native code can forge it: it shares an address space with the clock. The driver's clocks
are out of its reach, and include the way there and back. So a claim stands as far as the driver's clocks bear it out;
what they saw beyond it is added to the times; a claim that is far off is refused; and no time counts as
shorter than they can tell from nothing.
"""

import math
import os
from collections.abc import Sequence

import numpy as np

from ksearch_referee.calls import Call
from ksearch_referee.failures import Guard, rejected

_DEVIATIONS = 5  # of 0.93 quartile distances / sqrt(n) for one median of a normal sample, 1.31 for a difference
_SLACK_NS = 10_000
_NOISE_RATIO = 0.03
_STAGING_RATIO, _STAGING_SLACK_NS = 0.05, 60_000
_MAX_SHORTEST_NS = 50_000
_MAX_SHORTEST_ON_GPU_NS = 10_000
_MAX_RESOLUTION_NS = 100_000
_GRAVE_NS = 50_000
_GRAVE_RATIO = 0.1
_REFUSED_NS = 1_000_000
_MAX_PREPARE_NS = 2_000_000
_MAX_COLLECT_NS = 500_000  # a reference may take longer, to copy what it returns; a kernel has nothing to copy
_WAITED_NS = 1_000_000
_BUSY_SHARE = 0.2


def _median(values_ns: Sequence[int]) -> float:
    return float(np.median(values_ns))


def _noise(values_ns: Sequence[int]) -> float:
    """Return by how much the medians of two samples like this one may differ by chance (nearly four deviations).

    The spread is taken from the faster half: what delays a call on a busy host makes it longer, never shorter.
    """
    low, middle = np.percentile(values_ns, (25, 50))
    return _DEVIATIONS * 2 * float(middle - low) / math.sqrt(len(values_ns))


def resolution_ns(idle: Sequence[Call]) -> int:
    """Return what the driver's clocks cannot tell from nothing, ns; at most 100 us: noise must hide no work."""
    return min(round(_noise([c.gap_ns for c in idle])) + _SLACK_NS, _MAX_RESOLUTION_NS)


def _is_on_gpu(calls: Sequence[Call]) -> bool:
    return any(c.staged_ns for c in calls)


def shortest_ns(idle: Sequence[Call]) -> int:
    """Return what a call counts at least, ns: the resolution, at most 50 us: a restless host must spoil no score.

    On a GPU at most 10 us, since there problems' calls take 10 to 50 us and could not be told apart otherwise. Nothing
    honest is quicker: to launch an empty-handed kernel and wait for it took 17 us on the H100 where that was measured,
    in a process that had stood still.
    """
    return min(resolution_ns(idle), _MAX_SHORTEST_ON_GPU_NS if _is_on_gpu(idle) else _MAX_SHORTEST_NS)


def check_shortness(kernel_ns: Sequence[int], idle: Sequence[Call]) -> Guard | None:
    """Note times (X37) that had to be raised to the shortest, or that the outer clocks do not bear out."""
    least_ns, told_ns = shortest_ns(idle), resolution_ns(idle)
    if least_ns in kernel_ns:
        evidence = f"calls shorter than {least_ns} ns count as that: the outer clocks tell no less"
        return Guard("X37", "info", evidence)
    if _median(kernel_ns) < told_ns:
        evidence = f"calls shorter than {told_ns} ns rest on the worker's own clock: the outer ones tell no less"
        return Guard("X37", "info", evidence)
    return None


def check_floor(times_ns: Sequence[int], floor_ns: int | None, what: str) -> None:
    """Refuse times (X37) below what moving the bytes and computing take at the GPU's peaks.

    Raises:
        KernelFailure: `rejected`.
    """
    if is_below(times_ns, floor_ns):
        median = _median(times_ns)
        raise rejected("X37", f"{what} of {median:.0f} ns is below the {floor_ns} ns that this GPU needs at its peaks")


def is_below(times_ns: Sequence[int], floor_ns: int | None) -> bool:
    """Tell whether times are shorter than the floor, if there is one."""
    return floor_ns is not None and bool(times_ns) and _median(times_ns) < floor_ns


def _seen_ns(kernel: Sequence[Call], idle: Sequence[Call], reference: Sequence[Call], rank: float) -> float:
    """Return what the driver's clocks saw beyond the claim in the kernel's call of `rank` (0.5: the median), ns."""

    def ranked(values_ns: Sequence[int]) -> float:
        return float(np.quantile(values_ns, rank))

    gap = ranked([c.gap_ns for c in kernel]) - _usual_gap_ns(idle, reference)
    handed_over = ranked([c.collect_ns for c in kernel]) - _longest_collect_ns(reference)
    cpu = ranked([c.cpu_ns for c in kernel]) - _median([c.cpu_ns - c.claimed_ns for c in idle])
    early = ranked([c.early_cpu_ns for c in kernel]) - _median([c.early_cpu_ns for c in idle])
    beyond_cpu = cpu / len(os.sched_getaffinity(0)) - _median([c.claimed_ns for c in kernel])
    staged = ranked([c.staged_ns for c in kernel]) - _longest_staging_ns(idle)
    unseen = ranked([c.unseen_ns for c in kernel]) - _longest_unseen_ns(kernel, idle)
    return max(gap + max(0.0, handed_over), beyond_cpu) + sum(max(0.0, beside) for beside in (early, staged, unseen))


def _usual_gap_ns(idle: Sequence[Call], reference: Sequence[Call]) -> float:
    """Return what the way there and back takes; on a GPU outputs are handed over on it, as the reference does that."""
    usual = [idle, reference] if _is_on_gpu(reference) else [idle]
    return max(_median([c.gap_ns for c in calls]) for calls in usual)


def _longest_collect_ns(reference: Sequence[Call]) -> float:
    """Return how long handing outputs over may take; what is longer has done something else as well."""
    usual = [min(c.collect_ns, _MAX_COLLECT_NS) for c in reference]
    return _median(usual) + _noise(usual) + _SLACK_NS


def _longest_unseen_ns(kernel: Sequence[Call], idle: Sequence[Call]) -> float:
    """Return how long it may take until the keeper has the outputs; what is longer has waited for work on the GPU.

    Containers are written and read by the driver alone: that takes as long as it takes.
    """
    usual = [c.unseen_ns for c in idle]
    if not any(usual):
        return _median([c.unseen_ns for c in kernel])
    return _median(usual) + _noise(usual) + _SLACK_NS


def _longest_staging_ns(idle: Sequence[Call]) -> float:
    """Return how long copying the inputs to a GPU may take; what is longer has done something else as well.

    On an H100 the medians of two processes that copied the same were up to 1.3 % apart at 64 MiB (1.65 ms), and up to
    63 us at 1 KiB, where the one that had run less in between took longer. Both bounds are above that.
    """
    staged = [c.staged_ns for c in idle]
    return _median(staged) * (1 + _STAGING_RATIO) + _noise(staged) + _STAGING_SLACK_NS


def _noise_ns(kernel: Sequence[Call], idle: Sequence[Call]) -> float:
    return resolution_ns(idle) + _median([c.claimed_ns for c in kernel]) * _NOISE_RATIO


def unclaimed_ns(kernel: Sequence[Call], idle: Sequence[Call], reference: Sequence[Call]) -> int:
    """Return by how much a kernel's calls were longer than its worker claims, as far as that can be told, ns.

    `idle` are calls of the reference's worker that touch all tensors and watch the clock for as long as the kernel
    claims to take: they tell what the way there and back costs, here and now, with caches full of tensors. The figures,
    each a median over the calls:

    - the gap: how long the worker ran in all, less its claim, against the same of the idle calls;
    - the hand-over: how long it then ran to say where in its memory the returned outputs lie, against the same of the
      reference;
    - on a GPU the staging, which the worker claims as well, and the time until the keeper has the outputs: both may
      take as long as with the idle calls;
    - CPU time: that of all threads, less that of the way there and back, spread over all CPUs that the worker may use,
      must fit into the claim. It sees threads that work while the first one is on its way.

    CPU time that was used before the call, while the worker stood still, comes on top.

    What is below the resolution and 3 % of the claim is taken for noise. Where much more is missing the claim has lost
    its credit, and noise counts against it: nobody may gain by claiming too little. An honest kernel loses time to this
    only by working outside of its call: by a pool that spins instead of sleeping, say.
    """
    seen, noise = _seen_ns(kernel, idle, reference, 0.5), _noise_ns(kernel, idle)
    if is_grave(seen - noise, kernel):
        return round(seen + noise)
    return max(0, round(seen - noise))


def undercut_ns(kernel: Sequence[Call], idle: Sequence[Call], reference: Sequence[Call]) -> int:
    """Return by how much a forged claim could have made these times too short without being noticed, ns.

    It is the sum of what every way of hiding work is forgiven: the noise of the gap, and all of the time in which an
    honest worker hands its outputs over, or copies its inputs to a GPU. A kernel's own way may have been quicker than
    that of the idle calls, on a busy host (K03) by milliseconds: as quick as the quickest of them. A GPU may work while
    the kernel's process stands still, until its outputs have been taken from it.
    """
    gaps = [c.gap_ns for c in idle]
    quicker = _median(gaps) - min(gaps)
    handed_over = _longest_collect_ns(reference) if any(c.collect_ns for c in kernel) else 0.0
    on_gpu = 0.0
    if _is_on_gpu(idle):
        on_gpu = _longest_staging_ns(idle) - _median([c.staged_ns for c in idle]) + _longest_unseen_ns(kernel, idle)
    return round(_noise_ns(kernel, idle) + quicker + handed_over + on_gpu)


def is_grave(unclaimed_ns: float, kernel: Sequence[Call]) -> bool:
    """Tell whether so much went unclaimed that the calls are worth another look."""
    return unclaimed_ns > _GRAVE_NS + _GRAVE_RATIO * _median([c.claimed_ns for c in kernel])


def check_claims(kernel: Sequence[Call], idle: Sequence[Call], reference: Sequence[Call]) -> Guard | None:
    """Refuse claims of which more than 1 ms and half of themselves is missing (X11); note what else was added.

    For a refusal that much has to be missing in three calls of four: a busy host may take as much from half of them.

    Raises:
        KernelFailure: `rejected`.
    """
    claimed = _median([c.claimed_ns for c in kernel])
    certain_ns = _seen_ns(kernel, idle, reference, 0.25) - _noise_ns(kernel, idle)
    if certain_ns > _REFUSED_NS + claimed / 2:
        raise rejected("X11", f"the worker claims {claimed:.0f} ns a call but was busy for {certain_ns:.0f} ns more")
    added_ns = unclaimed_ns(kernel, idle, reference)
    if added_ns == 0:
        return None
    evidence = f"{added_ns} ns that the worker did not claim were added to every call"
    return Guard("X11", "warn" if is_grave(added_ns, kernel) else "info", evidence)


def check_threads(before: int, after: int) -> Guard | None:
    """Refuse a kernel that leaves more and more threads behind (X16); note one whose pool grew.

    `before` is counted after the warm-up calls, when pools exist. A pool may still grow by one thread a CPU.

    Raises:
        KernelFailure: `rejected`.
    """
    if after <= before:
        return None
    evidence = f"the kernel's process had {before} threads before the timed calls and {after} after them"
    if after - before > len(os.sched_getaffinity(0)):
        raise rejected("X16", evidence)
    return Guard("X16", "warn", evidence)


def check_preparation(kernel: Sequence[Call], idle: Sequence[Call], reference: Sequence[Call]) -> None:
    """Refuse a kernel that works while its arguments are bound (X05): there is nothing honest to do without inputs.

    What binding them takes is read off the idle calls, which bind none, and the reference's, which bind as many.

    Raises:
        KernelFailure: `rejected`.
    """
    usual_ns = max(_median([c.prepare_cpu_ns for c in calls]) for calls in (idle, reference))
    extra_ns = _median([c.prepare_cpu_ns for c in kernel]) - usual_ns
    if extra_ns > _MAX_PREPARE_NS:
        raise rejected("X05", f"{extra_ns:.0f} ns of CPU time a call were used while the arguments were bound")


def check_host(calls: Sequence[Call]) -> Guard | None:
    """Note a host that was busy with other things (K03): its figures are worth less.

    `calls` are the reference's and the idle ones. On a quiet host they wait 0.1 ms for a CPU, to be let go and stopped.
    """
    waited = sum(c.claimed_ns + c.gap_ns + c.staged_ns - c.cpu_ns > _WAITED_NS for c in calls) / len(calls)
    if waited < _BUSY_SHARE:
        return None
    return Guard("K03", "warn", f"the host was busy: {waited:.0%} of the reference's calls waited for a CPU")


def check_sleep(wakings: int) -> None:
    """Refuse a kernel whose process ran though the driver had stopped it (X16): nothing honest does.

    Raises:
        KernelFailure: `rejected`.
    """
    if wakings > 0:
        raise rejected("X16", f"the kernel's process woke itself {wakings} times while it was stopped")
