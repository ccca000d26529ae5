"""The loss plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.loss.auxiliary import Auxiliary
from incrlearn_plugins.loss.binary import Binary
from incrlearn_plugins.loss.cross_entropy import CrossEntropy
from incrlearn_plugins.loss.distill import Distill
from incrlearn_plugins.loss.ewc import Ewc
from incrlearn_plugins.loss.less_forget import LessForget
from incrlearn_plugins.loss.margin import Margin
from incrlearn_plugins.loss.nca import Nca
from incrlearn_plugins.loss.pod import Pod


class TestAuxiliary(PluginContract):
    plugin = Auxiliary
    beside = {"auxiliary": None}


class TestBinary(PluginContract):
    plugin = Binary
    beside = {"head": {"use": "linear", "bias": True, "start": "inherit"}}


class TestCrossEntropy(PluginContract):
    plugin = CrossEntropy


class TestDistill(PluginContract):
    plugin = Distill
    beside = {"head": {"use": "linear", "start": "inherit"}}


class TestEwc(PluginContract):
    plugin = Ewc
    options = {"samples": 8}
    beside = {
        "network": "single",
        "auxiliary": None,
        "head": {"use": "linear", "start": "inherit"},
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


class TestLessForget(PluginContract):
    plugin = LessForget
    beside = {"head": {"use": "cosine"}}


class TestMargin(PluginContract):
    plugin = Margin
    beside = {"head": {"use": "cosine"}}


class TestNca(PluginContract):
    plugin = Nca
    beside = {"head": {"use": "cosine"}}


class TestPod(PluginContract):
    plugin = Pod
