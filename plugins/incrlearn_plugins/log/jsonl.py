"""A line of JSON for each epoch, task and result."""

from __future__ import annotations

import json
from typing import Any

from incrlearn import Plugin, Row, RunState, hookimpl


class Jsonl(Plugin):
    """Writes every row of the record as one line of JSON below the run directory."""

    kind = "log"
    affects_result = False

    class Config(Plugin.Config):
        """Options."""

        file: str = "metrics.jsonl"
        """Name of the file in the run directory."""

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
        with path.open("r+b" if path.exists() else "w+b") as stream:
            stream.truncate(self._written)
            stream.seek(self._written)
            stream.write(json.dumps(row, allow_nan=True).encode() + b"\n")
            self._written = stream.tell()

    def state_dict(self) -> dict[str, Any]:
        """How many bytes are written, so that a resumed run goes on there."""
        return {"written": self._written}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind what was written at the checkpoint."""
        self._written = int(state["written"])
