"""Options of the learned channel masks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from incrlearn import Plugin


class MaskOptions(Plugin.Config):
    """Exactly one of ``keep`` and ``sparsity``."""

    keep: float | None = Field(None, gt=0, lt=1)
    """Share of the new extractor's parameters to end with; the weight of the sparsity loss is driven there."""
    descent: tuple[float, float] = (0.6, 0.95)
    """With ``keep``: between these shares of the masks' learning the target for the share of open weights falls from 1
    to ``keep``; before, the sparsity loss has no weight."""
    sparsity: float | None = Field(None, ge=0)
    """lambda_s, the weight of the sparsity loss (Eq. 11), as in the paper, where it is tuned for each setting."""
    s_max: float = Field(100.0, gt=1)
    """Largest scale of the gates' logits, reached at the end of each epoch (Eq. 8)."""
    start: tuple[float, float] = (0.0, 2.0)
    """The logits e are drawn uniformly between these."""
    lr: float = Field(30.0, gt=0)
    """Learning rate of the logits at its highest; the phase's schedule applies to it."""
    clamp: float = Field(6.0, gt=0)
    """Logits stay within [-clamp, clamp]; beyond, sigmoid'(e) is too small to come back."""
    binarise_at: float = Field(0.5, gt=0, le=1)
    """Share of the phase after which masks are made binary, the closed channels are removed and the small network
    trains on; 1 is the paper's."""
    settle: bool = True
    """Re-estimate batch norm in one pass over the phase's training data after the removal; false leaves its statistics
    as they were learned under the masks, as the paper does with ``binarise_at: 1``."""
    regrow: Literal["kept", "fresh"] = "fresh"
    """How the channels that were removed come back in the next extractor, where that starts from this one: from a new
    draw, or with their weights of before the removal, which checkpoints hold until then (the size of one extractor)."""

    @model_validator(mode="after")
    def _fits(self) -> MaskOptions:
        if (self.keep is None) == (self.sparsity is None):
            raise ValueError("give exactly one of keep (a budget) and sparsity (lambda_s)")
        if not 0 <= self.descent[0] < self.descent[1] <= 1:
            raise ValueError(f"descent must rise and stay within 0 and 1, not {list(self.descent)}")
        if self.start[0] >= self.start[1] or max(map(abs, self.start)) > self.clamp:
            raise ValueError(f"start must rise and stay within clamp ({self.clamp}), not {list(self.start)}")
        return self
