"""The CIFAR stem: a 3x3 stride-1 convolution and no pooling, for images of about 32 pixels."""

from __future__ import annotations

from torch import nn

from incrlearn.errors import Problem, RecipeError


def use_cifar_stem(model: nn.Module, name: str) -> None:
    """Replace the strided stem of a timm model, in place, as DER and its predecessors do on CIFAR.

    The first convolution becomes 3x3 with stride 1 (a 3x3 one keeps its weights and loses its stride), and the
    pooling right behind it goes. timm's ``feature_info`` reductions are mended.

    Raises:
        RecipeError: the model has no strided stem convolution, such as a patch embedding.
    """
    path = (getattr(model, "pretrained_cfg", None) or {}).get("first_conv")
    conv = model.get_submodule(path) if isinstance(path, str) else None
    if not isinstance(conv, nn.Conv2d) or conv.stride[0] == 1:
        raise _no_stem(name, "it has no strided first convolution")
    if conv.kernel_size == conv.stride:
        patch = conv.kernel_size[0]
        raise _no_stem(
            name,
            f"it cuts patches of {patch}x{patch}: write stem: default and, for example, options: {{patch_size: 2}} "
            "(ConvNeXt) or options: {img_size: 32, patch_size: 4} (ViT)",
        )
    shrink = conv.stride[0]
    _set_module(model, str(path), _stride_one(conv))
    for pool in ("maxpool", "stem.pool", "features.pool0"):
        if _has_module(model, pool):
            _set_module(model, pool, nn.Identity())
            shrink *= 2
    for info in getattr(model, "feature_info", None) or []:
        if "reduction" in info:
            info["reduction"] = max(1, info["reduction"] // shrink)


def _stride_one(conv: nn.Conv2d) -> nn.Conv2d:
    if conv.kernel_size == (3, 3) and conv.padding == (1, 1):
        conv.stride = (1, 1)
        return conv
    new = nn.Conv2d(conv.in_channels, conv.out_channels, 3, stride=1, padding=1, bias=conv.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    return new


def _has_module(model: nn.Module, path: str) -> bool:
    return path in dict(model.named_modules())


def _set_module(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _no_stem(name: str, why: str) -> RecipeError:
    return RecipeError("backbone", [Problem(f"backbone.stem: '{name}' has no stem to replace: {why}")])
