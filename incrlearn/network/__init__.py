"""Networks: timm backbones, several of them side by side, and the heads on top."""

from incrlearn.network.backbone import build_backbone, check_backbone
from incrlearn.network.branches import BranchedNetwork
from incrlearn.network.heads import Drawable, LinearHead, redraw_heads
from incrlearn.network.stem import use_cifar_stem
from incrlearn.types import Backbone

__all__ = [
    "Backbone",
    "BranchedNetwork",
    "Drawable",
    "LinearHead",
    "build_backbone",
    "check_backbone",
    "redraw_heads",
    "use_cifar_stem",
]
