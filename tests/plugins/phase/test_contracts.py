"""The phase plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.phase.balanced_finetune import BalancedFinetune
from incrlearn_plugins.phase.balanced_head import BalancedHead
from incrlearn_plugins.phase.bias_layer import BiasLayer
from incrlearn_plugins.phase.sgd import Sgd


class TestBalancedFinetune(PluginContract):
    plugin = BalancedFinetune
    options = {"epochs": 2, "batch": 16}


class TestBalancedHead(PluginContract):
    plugin = BalancedHead
    options = {"epochs": 2, "lr": 0.05, "milestones": [1], "batch": 16}


class TestBiasLayer(PluginContract):
    plugin = BiasLayer
    options = {"epochs": 2, "milestones": [1]}
    beside = {"head": {"use": "linear", "bias": True, "start": "inherit"}}


class TestSgd(PluginContract):
    plugin = Sgd
    options = {"lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 1}
