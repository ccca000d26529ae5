"""Backbones: any timm model, without its classifier, with its pooled features as output."""

from __future__ import annotations

from typing import Any

import torch

from incrlearn.errors import DataError, Problem, RecipeError, did_you_mean
from incrlearn.network.signed import use_signed_features
from incrlearn.network.stem import use_cifar_stem
from incrlearn.recipe import BackboneOptions
from incrlearn.rng import isolated_rng
from incrlearn.types import Backbone


def build_backbone(options: BackboneOptions, channels: int, seed: int) -> Backbone:
    """Make an extractor with fresh (or timm's pretrained) weights.

    timm initialises ResNets as the paper does: kaiming-normal convolutions, and zero as the weight of each residual
    block's last norm. Pre-activation ResNets want ``options: {zero_init_last: true}`` for that.

    Args:
        options: the recipe's ``backbone``.
        channels: channels of the images, 1 or 3.
        seed: seed of the weights; torch's global generator is left as it was.

    Raises:
        RecipeError: timm has no such model, it does not take these options, it has no stem to replace, or no
            last activation that is known.
        DataError: pretrained weights cannot be had.
    """
    import timm  # takes seconds to load

    # timm reads "tag" weights as name.tag; the model is the part before it.
    if not timm.is_model(options.name):
        known = timm.list_models()
        raise _problem(f"name: timm has no model named '{options.name}'{_close(options.name, known)}")
    with isolated_rng(seed):
        try:
            settings: dict[str, Any] = {"num_classes": 0, "in_chans": channels, **options.options}
            model = timm.create_model(options.name, pretrained=options.pretrained, **settings)
        except Exception as error:
            # Without a download nothing but the options can be to blame, whatever timm trips over.
            if not options.pretrained or isinstance(error, TypeError):
                raise _problem(f"options: timm cannot make '{options.name}' with {options.options}: {error}") from error
            raise DataError(
                f"backbone.pretrained: the weights of '{options.name}' cannot be had "
                f"({type(error).__name__}: {error}); fetch them where there is a network (timm keeps them in its hub "
                "cache), or write pretrained: false"
            ) from error
        if options.stem == "cifar":
            use_cifar_stem(model, options.name)
        if options.signed:
            use_signed_features(model, options.name)
    # Where a model widens after pooling (MobileNetV3), num_features is not the width of its output.
    width: Any = getattr(model, "head_hidden_size", None) or model.num_features
    return Backbone(model, int(width))


def check_backbone(backbone: Backbone, options: BackboneOptions, channels: int, size: int) -> None:
    """Send two blank images through, so that a backbone that cannot read the data is found before a run.

    Raises:
        RecipeError: it does not take images of ``size`` x ``size``, lacks parts that it needs, or its output is no
            (B, width).
    """
    training = backbone.training
    try:
        with torch.no_grad():
            out = backbone.eval()(torch.zeros(2, channels, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _problem(
            f"name: '{options.name}' does not take images of {size}x{size}: {error}; "
            "a vision transformer wants options: {img_size: ..., patch_size: ...}"
        ) from error
    # timm makes a ResNet of three stages and then looks for the fourth.
    except AttributeError as error:
        raise _problem(f"options: '{options.name}' does not work with {options.options}: {error}") from error
    finally:
        backbone.train(training)
    if out.shape != (2, backbone.width):
        raise _problem(f"name: '{options.name}' gives {tuple(out.shape)}, not pooled features (2, {backbone.width})")


def _close(name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known)
    return hint if "did you mean" in hint else "; list them with timm.list_models()"


def _problem(message: str) -> RecipeError:
    return RecipeError("backbone", [Problem(f"backbone.{message}")])
