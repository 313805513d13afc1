"""Binding `c++`: a kernel that is a C++ function of the task's own containers, `output_t custom_kernel(input_t)`."""

from ksearch_referee.frames import Frame
from ksearch_referee.worker.containers import ContainerCode, Library


def load(frame: Frame) -> ContainerCode:
    """Open the shared object at `library`.

    Raises:
        OSError: it does not load.
        AttributeError: because it lacks `symbol`.
    """
    try:
        return ContainerCode(Library(frame["library"]))
    except OSError as error:
        if "undefined symbol" in str(error) and frame["symbol"] in str(error):
            raise AttributeError(frame["symbol"]) from None
        raise
