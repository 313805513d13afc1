"""Time allowances. Waiting for the device's timing slot never counts against them."""

import time


class Budget:
    """A number of milliseconds that runs from creation, less what was spent queueing."""

    def __init__(self, total_ms: int) -> None:
        self._started = time.monotonic()
        self._total_s = total_ms / 1_000
        self.queued_s = 0.0

    def exclude(self, waited_s: float) -> None:
        """Give back seconds that were spent waiting for others."""
        self.queued_s += waited_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, queueing included."""
        return time.monotonic() - self._started

    @property
    def remaining_s(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self._total_s - (self.elapsed_s - self.queued_s))
