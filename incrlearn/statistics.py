"""Means over seeds and paired differences between two variants; pure functions of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """What several runs came to, in the unit of the values."""

    n: int
    """How many values there were; at least 1."""
    mean: float
    sd: float | None
    """Standard deviation of the values with n - 1 below the line (of single runs, not of the mean); None for n < 2."""


@dataclass(frozen=True)
class Difference:
    """A variant minus the base, over the seeds that both have, in the unit of the values."""

    n: int
    """How many seeds both have; at least 1."""
    mean: float
    """Below zero where the variant has the smaller values."""
    low: float | None
    """Lower end of the confidence interval of the mean; None for n < 2."""
    high: float | None
    """Upper end of it; None for n < 2."""


def spread(values: Sequence[float]) -> Spread | None:
    """Number, mean and sample standard deviation of ``values``; None where there are none."""
    return Spread(len(values), fmean(values), stdev(values) if len(values) > 1 else None) if values else None


def paired_difference(
    values: Mapping[int, float], base: Mapping[int, float], confidence: float = 0.95
) -> Difference | None:
    """The mean over common seeds of variant minus base, with Student's t interval of paired differences.

    With d the n differences, the interval is mean(d) ± t sd(d) / sqrt(n), t the quantile of (1 + confidence) / 2 with
    n - 1 degrees of freedom. It is about the mean difference over all seeds one might have drawn: were the
    experiment repeated with other seeds, that share of such intervals would hold it. An interval that holds zero does
    not show that the variants are equal.

    It assumes that seeds are independent of one another and that the differences are roughly normal, which so few
    cannot show. It does not know other data or class orders than those the seeds vary, and is for one comparison:
    of twenty variants that change nothing, one is expected to miss zero at 0.95. Where all differences are equal, it
    has no width.

    Args:
        values: the variant's value by seed, finite.
        base: the base's value by seed, finite.
        confidence: between 0 and 1, both excluded.

    Returns:
        None where no seed is common.

    Raises:
        ValueError: ``confidence`` is out of its range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1; for 95 % write 0.95")
    differences = [value - base[seed] for seed, value in values.items() if seed in base]
    n = len(differences)
    if n == 0:
        return None
    mean = fmean(differences)
    if n == 1:
        return Difference(1, mean, None, None)
    # Quick to load, unlike scipy.stats, and of use only where there are several seeds.
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * stdev(differences) / sqrt(n)
    return Difference(n, mean, mean - half, mean + half)
