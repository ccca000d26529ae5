"""Networks: timm backbones, several of them side by side, and the heads on top."""

from incrlearn.network.backbone import build_backbone, check_backbone
from incrlearn.network.branches import BranchedNetwork
from incrlearn.network.channels import OPEN, ChannelMap, GateGroup, Layer, Ungated
from incrlearn.network.depgraph import ImageShape
from incrlearn.network.heads import Drawable, LinearHead, Narrowable, redraw_heads
from incrlearn.network.masking import AppliedMask
from incrlearn.network.pruning import grow_back, kept_features, map_channels, remove_channels
from incrlearn.network.stem import use_cifar_stem
from incrlearn.types import Backbone

__all__ = [
    "OPEN",
    "AppliedMask",
    "Backbone",
    "BranchedNetwork",
    "ChannelMap",
    "Drawable",
    "GateGroup",
    "ImageShape",
    "Layer",
    "LinearHead",
    "Narrowable",
    "Ungated",
    "build_backbone",
    "check_backbone",
    "grow_back",
    "kept_features",
    "map_channels",
    "redraw_heads",
    "remove_channels",
    "use_cifar_stem",
]
