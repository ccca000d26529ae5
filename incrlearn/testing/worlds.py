"""Small synthetic data sets, learnable in seconds on a CPU, and a recipe over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from incrlearn.data import ArrayImages, Augment, DataPlugin, Source, Split
from incrlearn.plugin import Plugin


class SyntheticData(DataPlugin):
    """Noisy copies of one random pattern a class: a data set made on the spot, the same for the same options."""

    class Config(Plugin.Config):
        """Options."""

        patterns: int = Field(6, ge=1)
        """Classes of the data set."""
        per_class: int = Field(20, ge=1)
        """Training images of each class; there are half as many test images, at least one."""
        size: int = Field(8, ge=4)
        """Height and width in pixels."""
        noise: float = Field(40.0, ge=0)
        """Standard deviation of the noise, in grey levels of 255."""
        padding: int = Field(1, ge=0)
        """Augmentation: zero padding before the random crop."""
        flip: bool = False
        """Augmentation: horizontal flips."""

    config: Config

    def open(self, root: Path) -> Source:  # noqa: ARG002
        """Make the images; ``root`` is not looked at."""
        config = self.config
        rng = np.random.default_rng(7)
        patterns = rng.integers(30, 226, (config.patterns, config.size, config.size, 1))
        return Source(
            name="synthetic",
            classes=tuple(f"pattern {number}" for number in range(config.patterns)),
            train=_split(patterns, config.per_class, config.noise, rng),
            test=_split(patterns, max(1, config.per_class // 2), config.noise, rng),
            orders={"reverse": tuple(reversed(range(config.patterns)))},
            augment=Augment(padding=config.padding, flip=config.flip),
            channels=1,
            size=config.size,
            mean=(0.5,),
            std=(0.25,),
        )


def tiny_recipe(**plugins: Any) -> dict[str, Any]:  # noqa: ANN401
    """A DER recipe over `SyntheticData` (as ``synthetic``) as plain values, quick enough for a test.

    Args:
        plugins: rows to add or replace under ``plugins``; None takes a row out.
    """
    rows: dict[str, Any] = {
        "network": {"use": "expandable"},
        "head": {"use": "linear"},
        "loss": "cross_entropy",
        "auxiliary": {"use": "auxiliary"},
        "memory": {"use": "herding", "total": 18},
        "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 1},
        "balance": {"use": "balanced_head", "epochs": 2, "lr": 0.05, "milestones": [1], "batch": 16},
    }
    rows |= plugins
    return {
        "seed": 1,
        "data": {"use": "synthetic", "tasks": 3},
        "backbone": {"name": "resnet18", "stem": "cifar", "options": {"layers": [1] * 4, "channels": [8] * 4}},
        "plugins": {key: row for key, row in rows.items() if row is not None},
        "precision": "float32",
    }


def _split(patterns: np.ndarray, per_class: int, noise: float, rng: np.random.Generator) -> Split:
    labels = np.repeat(np.arange(len(patterns), dtype=np.int64), per_class)
    noisy = patterns[labels] + rng.normal(0.0, noise, (len(labels), *patterns.shape[1:]))
    return Split(ArrayImages(noisy.clip(0, 255).astype(np.uint8)), labels)
