"""Runs on a Ray cluster, or on a Ray of this machine's own (the extra ``ray``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray

from incrlearn.ablation.job import Job, Outcome, train


@dataclass(frozen=True)
class Referred:
    """A job on the cluster."""

    reference: Any

    def is_done(self) -> bool:
        """Whether there is a result, or an error in its place."""
        ready, _ = ray.wait([self.reference], timeout=0)
        return bool(ready)

    def outcome(self) -> Outcome:
        """How it ended; raises where worker or node died."""
        outcome: Outcome = ray.get(self.reference)
        return outcome


class Ray:
    """Ray places the runs: each asks for its share of cores, and of GPUs where the cluster has some."""

    def __init__(self, address: str | None, jobs: int | None, resources: Mapping[str, float]) -> None:
        """Join a cluster, or start a Ray here.

        Args:
            address: such as ``ray://host:10001`` or ``auto``; None: a Ray of this machine's own.
            jobs: runs side by side; None: as many as the cluster has room for.
            resources: what a run asks for: ``num_cpus``, ``num_gpus``, or a name of the cluster's; by default its share
                of the cores, and one GPU where there are any.
        """
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        there: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cores, gpus = int(there.get("CPU", 1)), int(there.get("GPU", 0))
        asked = dict(resources)
        asked.setdefault("num_gpus", 1 if gpus else 0)
        fit = gpus // asked["num_gpus"] if asked["num_gpus"] else cores // asked.get("num_cpus", 1)
        self.slots = max(1, jobs if jobs is not None else int(fit))
        asked.setdefault("num_cpus", max(1, cores // self.slots))
        self._threads = max(1, int(asked["num_cpus"]))
        named = {name: amount for name, amount in asked.items() if name not in ("num_cpus", "num_gpus")}
        # A worker that dies is this side's to count, so that the run is resumed and not begun anew.
        self._train = ray.remote(train).options(
            num_cpus=asked["num_cpus"], num_gpus=asked["num_gpus"], resources=named, max_retries=0
        )

    def submit(self, job: Job, slot: int) -> Referred:  # noqa: ARG002 (Ray finds the place)
        """Hand a job to the cluster."""
        return Referred(self._train.remote(replace(job, threads=self._threads)))

    def close(self) -> None:
        """Leave the cluster; what is still at work there is stopped."""
        ray.shutdown()
