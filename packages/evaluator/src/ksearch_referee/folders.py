"""Temporary folders that foreign code writes into."""

import os
import shutil
import subprocess
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Delete a folder, however deep a tree was planted in it: Python's own way recurses and gives up.

    With KSEARCH_REFEREE_KEEP in the environment it stays, for whoever wants to look into it.
    """
    if os.environ.get("KSEARCH_REFEREE_KEEP"):
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["/bin/rm", "-rf", "--", str(folder)], check=False)
