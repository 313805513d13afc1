"""Writes what ksearch tells of one run to Weights & Biases.

Standard input brings one JSON object a line, `{"verb": "run" | "attempt" | "artifact" | "finish", …}`; standard
output gives one line back for each, once it is done, or `{"error": …}`, after which this process ends. The end of the
input, however it comes about, closes the run at W&B: nobody's death leaves it open.

`wandb.json` in the run's folder keeps how far the record goes: the last event and the last step. It is written here and
not by ksearch, because this process outlives a ksearch that is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any

# Before wandb is imported; what the user's environment says wins.
DEFAULTS = {
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_ERROR_REPORTING": "false",
    # The working directory says nothing about the run, and this process is no part of it.
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB__SAVE_REQUIREMENTS": "false",
    # Kernels are being timed on this machine: nothing may sample its counters meanwhile.
    "WANDB__DISABLE_STATS": "true",
    "WANDB_INIT_TIMEOUT": "25",
    "WANDB_FINISH_TIMEOUT": "20",
    "WANDB_FINISH_TIMEOUT_RAISES": "true",
}
for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)


try:
    import wandb
except ImportError as error:
    raise SystemExit(f"{sys.executable} has no package wandb ({error})") from error

OLDEST = (0, 19)
"""The first version whose core writes the files that are read today."""

LOCK_S = 20
"""How long the process of an earlier execution may take to send its last."""

CLOSING_S = 60
"""How long closing the run may take once nobody waits for it any more."""


class Trouble(Exception):
    """What keeps a record from being written, in words for the user."""


class Record:
    """The W&B run, and how far it goes."""

    def __init__(self, folder: Path, run: wandb.Run, seq: int, step: int) -> None:
        self.folder, self.run, self.seq, self.step = folder, run, seq, step

    @staticmethod
    def open(message: dict[str, Any]) -> Record:
        """Open or continue the W&B run of a ksearch run; the lock on it holds until this process ends."""
        folder = Path(message["folder"])
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        hold(folder / "wandb" / "lock")
        told = progress_path(folder)
        progress: dict[str, int] = json.loads(told.read_text()) if told.exists() else {"seq": 0, "step": 0}
        facts = message["run"]
        run = wandb.init(
            project=message["project"],
            name=message["name"],
            mode=message["mode"],
            id=facts["runId"],
            resume="allow",
            dir=str(folder),
            config=facts["config"],
            tags=[*filter(None, os.environ.get("WANDB_TAGS", "").split(",")), *facts["tags"]],
            settings=wandb.Settings(allow_val_change=True),
        )
        # Where `wandb.json` was lost, W&B itself knows the next step of a run that it continues.
        return Record(folder, run, progress["seq"], max(progress["step"], run.starting_step - 1))

    def keep(self, seq: int) -> None:
        """Keep that everything up to an event is with W&B."""
        self.seq = seq
        draft = self.folder / "wandb" / "progress.json"
        draft.write_text(json.dumps({"seq": self.seq, "step": self.step}) + "\n")
        draft.replace(progress_path(self.folder))

    def attempt(self, message: dict[str, Any]) -> None:
        """Log one row, unless its step is there already: W&B has no way to change a row."""
        if message["step"] > self.step:
            self.run.log({**message["values"], **tables(message)}, step=message["step"], commit=True)
            self.step = message["step"]
        self.keep(message["seq"])

    def artifact(self, message: dict[str, Any]) -> None:
        """Log files; W&B makes no new version of the same content."""
        artifact = wandb.Artifact(message["name"], type=message["type"], metadata=message["metadata"])
        for path, content in message["files"].items():
            with artifact.new_file(path, encoding="utf-8") as file:  # pyright: ignore[reportUnknownVariableType]
                file.write(content)  # pyright: ignore[reportUnknownMemberType]
        self.run.log_artifact(artifact)
        self.keep(message["seq"])

    def finish(self, message: dict[str, Any]) -> bool:
        """Write the summary and close the run at W&B. False: not everything was uploaded in time."""
        summary: Any = self.run.summary
        summary.update({**message["values"], **tables(message)})
        return self.close()

    def close(self) -> bool:
        """Close the run at W&B as finished, paused or not: a search that ends without a kernel has not crashed."""
        try:
            self.run.finish(exit_code=0)
        except TimeoutError:
            return False
        return True

    def kept(self) -> str:
        """Say which folder holds what W&B was told, sent or not."""
        return str(Path(self.run.dir).parent)


def progress_path(folder: Path) -> Path:
    """Say where it is kept how far the record of a run goes."""
    return folder / "wandb.json"


def tables(message: dict[str, Any]) -> dict[str, Any]:
    """Turn the tables of a message into those of W&B."""
    return {
        name: wandb.Table(columns=table["columns"], data=table["rows"]) for name, table in message["tables"].items()
    }


def hold(path: Path) -> None:
    """Keep other processes of this kind away from the run until this one ends."""
    file = path.open("w")
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            return fcntl.flock(os.dup(file.fileno()), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Trouble("another process still sends this run") from None
            time.sleep(0.1)


def hear(lines: IO[str], replies: IO[str]) -> None:
    """Do what each line says and reply. Close the run when the lines end."""
    record = None
    try:
        for line in lines:
            message = json.loads(line)
            match message["verb"], record:
                case "run", None:
                    record = Record.open(message)
                    answer(replies, {"seq": record.seq, "where": record.run.url or record.kept()})
                    continue
                case "attempt", Record():
                    record.attempt(message)
                case "artifact", Record():
                    record.artifact(message)
                case "finish", Record():
                    closing, record = record, None
                    answer(replies, {"left": None if closing.finish(message) else closing.kept()})
                    continue
                case verb, _:
                    raise Trouble(f"'{verb}' is not what comes next")
            answer(replies, {})
    except Exception as error:  # noqa: BLE001 - the outermost boundary: whatever W&B raises, the user is told
        kind = "" if isinstance(error, wandb.Error | Trouble) else f"{type(error).__name__}: "
        answer(replies, {"error": kind + " ".join(str(error).split())[:400]})
    finally:
        if record is not None:
            signal.alarm(CLOSING_S)
            record.close()


def answer(replies: IO[str], reply: dict[str, Any]) -> None:
    """Say that a line is done, to whoever still listens."""
    try:
        print(json.dumps(reply), file=replies, flush=True)
    except BrokenPipeError:
        return


if __name__ == "__main__":
    version = tuple(int(part) for part in wandb.__version__.split(".")[:2])
    if version < OLDEST:
        raise SystemExit(f"wandb {wandb.__version__} is too old: 0.19 or later is needed")
    # Ctrl-C goes to a whole terminal; this process ends when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(10)
    # Replies have standard output to themselves: what W&B prints goes to standard error.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        hear(sys.stdin, replies)
