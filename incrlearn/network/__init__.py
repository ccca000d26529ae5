"""Networks: timm backbones, several of them side by side, and the heads on top."""

from incrlearn.network.backbone import build_backbone, check_backbone
from incrlearn.network.branches import BranchedNetwork
from incrlearn.network.channels import OPEN, ChannelMap, GateGroup, Layer, Ungated
from incrlearn.network.depgraph import ImageShape
from incrlearn.network.heads import (
    CosineClassifier,
    Drawable,
    Imprintable,
    LinearHead,
    Narrowable,
    redraw_heads,
)
from incrlearn.network.masking import AppliedMask
from incrlearn.network.pruning import grow_back, kept_features, map_channels, remove_channels
from incrlearn.network.signed import use_signed_features
from incrlearn.network.stages import find_stages, map_shapes, read_maps
from incrlearn.network.stem import use_cifar_stem
from incrlearn.types import Backbone

__all__ = [
    "OPEN",
    "AppliedMask",
    "Backbone",
    "BranchedNetwork",
    "ChannelMap",
    "CosineClassifier",
    "Drawable",
    "GateGroup",
    "ImageShape",
    "Imprintable",
    "Layer",
    "LinearHead",
    "Narrowable",
    "Ungated",
    "build_backbone",
    "check_backbone",
    "find_stages",
    "grow_back",
    "kept_features",
    "map_channels",
    "map_shapes",
    "read_maps",
    "redraw_heads",
    "remove_channels",
    "use_cifar_stem",
    "use_signed_features",
]
