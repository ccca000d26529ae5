"""Maps of an extractor's stages: where they are read off, and hooks that do it for one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from incrlearn.errors import PluginError, Problem, RecipeError
from incrlearn.network.depgraph import ImageShape
from incrlearn.types import Backbone, Stage


def find_stages(backbone: Backbone) -> tuple[Stage, ...]:
    """The stages that timm's ``feature_info`` names, the stem left out; none where the model names none.

    In a ResNet a map is read off before the activation that its stage ends in, as PODNet's authors do; elsewhere it is
    what the stage gives. The stem is the first place named if there are fewer than two convolutions in it.
    """
    modules = dict(backbone.model.named_modules())
    names = [str(info.get("module")) for info in _feature_info(backbone)]
    found = [(name, modules[name]) for name in names if name in modules]
    if found and sum(isinstance(part, nn.Conv2d) for part in found[0][1].modules()) < 2:
        found = found[1:]
    return tuple(_before_activation(name, module) or Stage(name, module, "output") for name, module in found)


@contextmanager
def read_maps(stages: Sequence[Stage]) -> Iterator[list[Tensor]]:
    """Collect the maps of a forward pass that is made within; on leaving, the hooks are gone.

    The list that is handed out is filled when the block ends: one float32 tensor for each stage, in their order. They
    are copies: what follows a stage in the network may work in place.

    Raises:
        PluginError: some stage was not passed exactly once.
    """
    read: list[tuple[int, Tensor]] = []
    maps: list[Tensor] = []
    with ExitStack() as hooks:
        for place, stage in enumerate(stages):
            if stage.side == "input":
                hooks.enter_context(stage.module.register_forward_pre_hook(partial(_note_input, read, place)))
            else:
                hooks.enter_context(stage.module.register_forward_hook(partial(_note_output, read, place)))
        yield maps
    if sorted(place for place, _ in read) != list(range(len(stages))):
        names = [stage.name for stage in stages]
        raise PluginError(f"each of the stages {names} must be passed once in a forward pass; one was not")
    maps.extend(tensor for _, tensor in sorted(read, key=lambda pair: pair[0]))


def map_shapes(backbone: Backbone, images: ImageShape) -> dict[str, tuple[int, int, int]]:
    """By stage the shape (C, H, W) of its map, found with a blank image; the backbone is left as it was.

    Raises:
        RecipeError: it has no stages that are known, or something else than maps (B, C, H, W) between them.
    """
    stages = find_stages(backbone)
    if not stages:
        raise _no_maps("timm does not tell its stages (feature_info)")
    training = backbone.training
    try:
        with torch.no_grad(), read_maps(stages) as maps:
            backbone.eval()(torch.zeros(2, *images))
    finally:
        backbone.train(training)
    channels = {info.get("module"): info.get("num_chs") for info in _feature_info(backbone)}
    for stage, found in zip(stages, maps, strict=True):
        if found.dim() != 4 or channels[stage.name] not in (None, found.shape[1]):
            raise _no_maps(f"its stage '{stage.name}' gives {tuple(found.shape)} for two images")
    return {
        stage.name: (found.shape[1], found.shape[2], found.shape[3]) for stage, found in zip(stages, maps, strict=True)
    }


def _feature_info(backbone: Backbone) -> list[dict[str, Any]]:
    infos = getattr(backbone.model, "feature_info", None) or []
    # Some of timm's models wrap the list.
    return list(getattr(infos, "info", infos))


def _before_activation(name: str, module: nn.Module) -> Stage | None:
    from timm.models.resnet import BasicBlock, Bottleneck  # takes seconds to load

    blocks = list(module.children())
    if blocks and isinstance(blocks[-1], BasicBlock | Bottleneck):
        return Stage(name, blocks[-1].act2 if isinstance(blocks[-1], BasicBlock) else blocks[-1].act3, "input")
    return None


def _note_input(read: list[tuple[int, Tensor]], place: int, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    read.append((place, inputs[0].to(torch.float32, copy=True)))


def _note_output(
    read: list[tuple[int, Tensor]], place: int, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    read.append((place, output.to(torch.float32, copy=True)))


def _no_maps(why: str) -> RecipeError:
    return RecipeError(
        "backbone",
        [
            Problem(
                f"backbone.name: there are no maps (B, C, H, W) to read off, which a loss of this recipe needs: {why}; "
                "take a convolutional network such as resnet18"
            )
        ],
    )
