"""Runs another program with a worker's restrictions: `python -I -m ksearch_referee.worker.confined <program> …`.

A compiler needs them too: `#include` and `.incbin` read whatever file it may read.
"""

import os
import sys

from ksearch_referee.worker import sandbox

if __name__ == "__main__":
    sandbox.enter(children=True)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the arguments are the driver's own
