"""PODNet's distillation: pooled maps of every stage, and the features, stay near those of the network before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from incrlearn import Batch, LossTerm, Output, Plugin, PluginError, RunState, Task, hookimpl
from incrlearn.network import Backbone, ImageShape, map_shapes

Pool = Literal["spatial", "width", "height", "channels", "gap", "pixel"]


class Pod(Plugin):
    """Distillation of pooled maps and of features from the network of the task before (PODNet; Douillard et al., 2020).

    In a network that grows, the newest extractor is compared with the newest of the task before. A phase that trains
    the head alone has nothing to distil.
    """

    kind = "loss"
    needs = frozenset({"teacher", "maps"})
    provides = frozenset({"distillation"})

    class Config(Plugin.Config):
        """Options; the defaults are PODNet's for CIFAR-100."""

        pool: Pool = "spatial"
        """What the maps are summed over before they are compared: ``width``, ``height``, or each of them for itself
        (``spatial``); ``gap``, both at once; ``channels``; ``pixel``, nothing. Only ``channels`` can compare extractors
        that differ in their channels, as after a pruning."""
        weight: float = Field(3.0, ge=0)
        """lambda_c, the weight of the pooled maps; 8 on ImageNet."""
        flat: float = Field(1.0, ge=0)
        """lambda_f, the weight of the features; 10 on ImageNet. Extractors that differ in their features want 0."""
        adaptive: bool = True
        """Multiply both weights by sqrt(classes seen / new classes)."""
        square: bool = True
        """Square the maps before they are pooled, as the authors' code does and the paper's equations do not."""

        def refuses(self) -> Mapping[str, str]:
            """A pruning, unless only sums over channels are compared."""
            instead = ["pool: channels"] if self.weight > 0 and self.pool != "channels" else []
            instead += ["flat: 0"] if self.flat > 0 else []
            why = "an extractor and the pruned one of the task before have other channels and features"
            return {"pruning": f"{why}; write {' and '.join(instead)}"} if instead else {}

    config: Config

    @hookimpl
    def explain(self, backbone: Backbone, image_shape: ImageShape) -> list[str]:
        """Which maps are compared."""
        shapes = map_shapes(backbone, image_shape)
        return [f"maps compared: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"]

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """lambda_c L_POD-spatial + lambda_f L_POD-flat; nothing in the first task."""
        if state.teacher is None or (state.phase is not None and state.phase.trains == "head"):
            return []
        config, old = self.config, state.teacher(batch)
        factor = adaptive_factor(state.task) if config.adaptive else 1.0
        terms = []
        if config.weight > 0:
            self._check(config.pool != "channels", out.maps, old.maps)
            value = pooled_distance(out.maps, old.maps, config.pool, config.square)
            terms.append(LossTerm(self.name, value, config.weight * factor))
        if config.flat > 0:
            self._check(True, out.parts[-1:], old.parts[-1:])
            terms.append(
                LossTerm(f"{self.name}_flat", flat_distance(out.parts[-1], old.parts[-1]), config.flat * factor)
            )
        return terms

    def _check(self, over_channels: bool, new: Sequence[Tensor], old: Sequence[Tensor]) -> None:
        """Make sure that what is compared is alike in shape, by shapes alone."""
        shapes = [[tuple(one.shape) for one in ones] for ones in (new, old)]
        if not over_channels:
            shapes = [[shape[2:] for shape in ones] for ones in shapes]
        if shapes[0] != shapes[1]:
            raise PluginError(
                f"'{self.name}' cannot compare {shapes[0]} with {shapes[1]}, those of the network before the task; "
                "where a pruning made them differ write pool: channels and flat: 0"
            )


def adaptive_factor(task: Task) -> float:
    """sqrt(|C_1:t| / |C_t|): the more classes are old, the more there is to keep; 1 in the first task."""
    return sqrt(task.seen / task.new)


def pooled(maps: Tensor, pool: Pool) -> Tensor:
    """PODNet's pooling of a map h (B, C, H, W): the sums that are compared, side by side.

    ``width``: sum_w h, (B, C H); ``height``: sum_h h, (B, C W); ``spatial``: both; ``gap``: sum_w sum_h h, (B, C);
    ``channels``: sum_c h, (B, H W); ``pixel``: h itself, (B, C H W).
    """
    if pool == "spatial":
        return torch.cat([pooled(maps, "width"), pooled(maps, "height")], dim=1)
    over: dict[Pool, tuple[int, ...]] = {"width": (3,), "height": (2,), "gap": (2, 3), "channels": (1,)}
    return (maps.sum(dim=over[pool]) if pool in over else maps).flatten(start_dim=1)


def pooled_distance(new: Sequence[Tensor], old: Sequence[Tensor], pool: Pool, square: bool) -> Tensor:
    """How far the maps of two networks are apart: 1/S sum_s 1/B sum_i || p(h_s)_i - p(h'_s)_i ||.

    p pools (`pooled`) and L2-normalises each image's sums. The paper's POD losses are squared distances of the
    sums as they are; the normalisation and the distance that is not squared are from the authors' code.

    Args:
        new: S maps (B, C_s, H_s, W_s).
        old: those of the network before the task, without a gradient.
        pool: what is summed over.
        square: square the maps first.

    Returns:
        A scalar in [0, 2]; at most sqrt(2) of squares.
    """
    distances = []
    for pair in zip(new, old, strict=True):
        one, other = (normalize(pooled(maps.square() if square else maps, pool), dim=1) for maps in pair)
        distances.append((one - other).norm(dim=1).mean())
    return torch.stack(distances).mean()


def flat_distance(new: Tensor, old: Tensor) -> Tensor:
    """POD-flat of normalised features: 1/B sum_i 1 - <h_i, h'_i> / (||h_i|| ||h'_i||), half their squared distance.

    Args:
        new: (B, d) features.
        old: (B, d), those of the network before the task.

    Returns:
        A scalar in [0, 2].
    """
    return (1 - cosine_similarity(new, old, dim=1)).mean()
