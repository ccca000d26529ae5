"""A line of JSON for each epoch, task and result."""

from __future__ import annotations

import json
import math
import os
from typing import Any, BinaryIO

from pydantic import Field

from incrlearn import Plugin, Row, RunState, TrainingError, hookimpl


class Jsonl(Plugin):
    """Writes every row of the record as one line of JSON below the run directory."""

    kind = "log"
    affects_result = False

    class Config(Plugin.Config):
        """Options."""

        file: str = Field("metrics.jsonl", pattern=r"^[\w.-]+\.jsonl$")
        """Name of the file in the run directory; it ends in .jsonl."""

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        super().__init__(name, config)
        self._written = 0

    @hookimpl
    def record(self, state: RunState, row: Row) -> None:
        """Append the row; what an interrupted run wrote after its last checkpoint is cut off first."""
        if state.run_dir is None:
            return
        path = state.run_dir / self.config.file
        try:
            with path.open("r+b" if path.exists() else "w+b") as stream:
                stream.seek(_end_of_lines(stream, self._written))
                stream.truncate()
                stream.write(json.dumps(finite(row), allow_nan=False).encode() + b"\n")
                stream.flush()
                if row["kind"] != "epoch":
                    os.fsync(stream.fileno())
                self._written = stream.tell()
        except OSError as error:
            raise TrainingError(f"{path}: cannot be written ({error.strerror}); mend that and --resume") from error

    def state_dict(self) -> dict[str, Any]:
        """How many bytes are written, so that a resumed run goes on there."""
        return {"written": self._written}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind what was written at the checkpoint."""
        self._written = int(state["written"])


def _end_of_lines(stream: BinaryIO, written: int) -> int:
    """Where to write on: behind what was written, or where a power cut left less, behind its last whole line."""
    if stream.seek(0, os.SEEK_END) >= written:
        return written
    stream.seek(0)
    return stream.read().rfind(b"\n") + 1


def finite(value: Any) -> Any:  # noqa: ANN401 (what JSON can say)
    """The same with null for numbers that are not finite, for which JSON has no word."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
