"""The problem's side of a judgement: the reference, and on a GPU the keeper."""

from dataclasses import dataclass

from ksearch_referee.calls import Outputs
from ksearch_referee.compare import Comparison, compare_outputs
from ksearch_referee.keeper import Held, Keeper
from ksearch_referee.layout import Layout
from ksearch_referee.runner import Runner
from ksearch_referee.wire import CorrectnessSettings


@dataclass
class Side:
    """Two workers that are believed: the one whose calls are timed beside a kernel's, and on a GPU the keeper."""

    reference: Runner
    keeper: Keeper | None = None

    @property
    def runners(self) -> list[Runner]:
        """The workers."""
        return [self.reference, *([self.keeper.runner] if self.keeper else [])]

    @property
    def code(self) -> Runner:
        """Whose problem's code makes inputs and judges outputs: the keeper's, if that code works on the GPU."""
        return self.keeper.runner if self.keeper and self.reference.stages else self.reference

    def held(self, layout: Layout, outputs: Outputs) -> Held | None:
        """Return outputs as the keeper has them; None if there is none."""
        if self.keeper is None or isinstance(outputs, Held):
            return outputs if isinstance(outputs, Held) else None
        return self.keeper.upload(layout.outputs, outputs)

    def compare(self, layout: Layout, got: Outputs, want: Outputs, settings: CorrectnessSettings) -> Comparison:
        """Compare outputs by tolerances, where they lie."""
        got_held, want_held = self.held(layout, got), self.held(layout, want)
        if self.keeper is None or got_held is None or want_held is None:
            return compare_outputs(got, want, settings)
        return self.keeper.compare(got_held, want_held, settings)
