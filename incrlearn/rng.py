"""Random numbers by name: every draw belongs to a (seed, task, purpose), so no plug-in shifts another's draws."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, task: int, purpose: str) -> int:
    """A 63-bit seed for one purpose in one task; equal inputs give equal seeds on every machine."""
    digest = hashlib.blake2b(f"{seed}/{task}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def make_generator(seed: int, task: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator for one purpose; calling twice gives the same draws twice."""
    return torch.Generator().manual_seed(derive_seed(seed, task, purpose))


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator inside the block and put its old state back after it.

    For code that takes no generator, such as the initialisation of a timm model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
