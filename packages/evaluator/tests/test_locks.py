"""The timing slot, by structure: who holds what when, never by how long it took."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import cpp, request

from ksearch_referee.driver import judge
from ksearch_referee.environment import cache_folder
from ksearch_referee.failures import InfraError
from ksearch_referee.inputs import generate_inputs
from ksearch_referee.locks import TimingSlot
from ksearch_referee.wire import Definition, Workload


def test_shared_holders_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with TimingSlot(tmp_path, "cpu", 0).shared(), TimingSlot(tmp_path, "cpu", 0).shared():
        pass


@pytest.mark.parametrize(("held", "wanted"), [("exclusive", "shared"), ("shared", "exclusive"), ("exclusive",) * 2])
def test_timing_is_alone(tmp_path: Path, held: str, wanted: str) -> None:
    slot, other = TimingSlot(tmp_path, "cpu"), TimingSlot(tmp_path, "cpu", 0)
    with getattr(slot, held)(), pytest.raises(InfraError, match="waited too long"), getattr(other, wanted)():
        pass
    with getattr(other, wanted)():
        pass


def test_devices_have_slots_of_their_own(tmp_path: Path) -> None:
    with TimingSlot(tmp_path, "cpu").exclusive(), TimingSlot(tmp_path, "H100", 0).exclusive():
        pass


def test_a_waiting_timing_goes_before_newcomers(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def time_a_kernel() -> None:
        waits.set()
        with TimingSlot(tmp_path, "cpu").exclusive():
            order.append("timing")

    timing = threading.Thread(target=time_a_kernel)
    with TimingSlot(tmp_path, "cpu").shared():
        timing.start()
        waits.wait()
        while True:  # until the timing stands in the turnstile, newcomers pass
            try:
                with TimingSlot(tmp_path, "cpu", 0).shared():
                    pass
            except InfraError:
                break
        assert order == []
    with TimingSlot(tmp_path, "cpu").shared():
        order.append("newcomer")
    timing.join()
    assert order == ["timing", "newcomer"]


def test_a_judge_checks_with_others_and_times_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each drawing of inputs looks at the slot from outside, as a second judge would."""
    monkeypatch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path))
    seen: list[str] = []

    def may_hold(kind: str) -> bool:
        try:
            with getattr(TimingSlot(cache_folder() / "locks", "cpu", 0), kind)():
                return True
        except InfraError:
            return False

    def spy(definition: Definition, workload: Workload, rng: np.random.Generator) -> Mapping[str, Any]:
        assert not may_hold("exclusive"), "another judge may not time now"
        seen.append("checks" if may_hold("shared") else "times")
        return generate_inputs(definition, workload, rng)

    monkeypatch.setattr("ksearch_referee.formats.flashinfer.generate_inputs", spy)
    assert judge(request(cpp(), "benchmark", (2,)))["status"] == "passed"
    phases = [name for name, before in zip(seen, ["", *seen], strict=False) if name != before]
    assert phases == ["checks", "times", "checks"]
