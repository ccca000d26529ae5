"""Signed features: the activation at the very end of a backbone taken out, so that features may be negative."""

from __future__ import annotations

from torch import nn

from incrlearn.errors import Problem, RecipeError


def use_signed_features(model: nn.Module, name: str) -> None:
    """Take the last activation out of a timm model, in place, as UCIR and PODNet do before their cosine classifiers.

    Behind a ReLU no cosine of two features is below 0. In a ResNet it is the activation after the addition of the
    last residual block, in a pre-activation one that of the last norm. No weight is drawn or changed.

    Raises:
        RecipeError: where the model ends in an activation is not known.
    """
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet  # takes seconds to load
    from timm.models.resnetv2 import ResNetV2

    owner: nn.Module | None = None
    activation = "act"
    if isinstance(model, ResNet):
        last_stage = model.get_submodule(str(model.feature_info[-1]["module"]))
        last = list(last_stage.children())[-1]
        if isinstance(last, BasicBlock | Bottleneck):
            owner, activation = last, "act2" if isinstance(last, BasicBlock) else "act3"
    elif isinstance(model, ResNetV2):
        owner = model.get_submodule("norm")
    if owner is None or not isinstance(getattr(owner, activation, None), nn.Module):
        raise RecipeError(
            "backbone",
            [
                Problem(
                    f"backbone.signed: it is not known where '{name}' ends in an activation; take a ResNet such as "
                    "resnet18 or resnet50, or write signed: false (behind a layer norm, as in a vision transformer, "
                    "features are signed already)"
                )
            ],
        )
    setattr(owner, activation, nn.Identity())
