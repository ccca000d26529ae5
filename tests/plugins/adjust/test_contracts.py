"""The adjust plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.adjust.imprint import Imprint
from incrlearn_plugins.adjust.weight_align import WeightAlign


class TestWeightAlign(PluginContract):
    plugin = WeightAlign
    beside = {"balance": None}


class TestImprint(PluginContract):
    plugin = Imprint
    beside = {
        "head": {"use": "cosine"},
        "balance": None,
        "train": {
            "use": "sgd",
            "lr": 0.05,
            "batch": 16,
            "epochs": 3,
            "milestones": [2],
            "warmup": 1,
            "fresh_heads": False,
        },
    }
