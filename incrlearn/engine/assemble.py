"""From a recipe to the objects of one run: plug-in instances, their calls, a maker of backbones."""

from __future__ import annotations

from collections.abc import Sequence

from incrlearn.blame import made
from incrlearn.calls import Calls
from incrlearn.engine.defaults import CoreDefaults
from incrlearn.hooks import MakeBackbone
from incrlearn.network import build_backbone
from incrlearn.observe import Around
from incrlearn.recipe import BackboneOptions, Recipe
from incrlearn.rng import derive_seed
from incrlearn.types import Backbone


def make_calls(recipe: Recipe, watchers: Sequence[object] = (), around: Around | None = None) -> Calls:
    """Fresh instances of the recipe's plug-ins behind the hooks.

    Raises:
        PluginError: a plug-in implements its hooks in a way that could not work.
    """
    plugins = [made(choice.plugin, choice.key, choice.config) for choice in recipe.plugins]
    return Calls(plugins, core=[CoreDefaults()], watchers=watchers, around=around)


def backbone_maker(recipe: Recipe, channels: int) -> MakeBackbone:
    """A maker of the recipe's backbone whose first weights are drawn for the purpose it is called with."""
    return _maker(recipe.backbone, recipe.seed, channels)


def backbone_shapes(recipe: Recipe, channels: int) -> MakeBackbone:
    """As `backbone_maker` without pretrained weights, for networks whose weights are loaded afterwards."""
    return _maker(recipe.backbone.model_copy(update={"pretrained": False}), recipe.seed, channels)


def _maker(options: BackboneOptions, seed: int, channels: int) -> MakeBackbone:
    def make_backbone(purpose: str) -> Backbone:
        return build_backbone(options, channels, derive_seed(seed, 0, purpose))

    return make_backbone
