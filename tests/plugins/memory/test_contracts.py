"""The memory plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.memory.closest_mean import ClosestMean
from incrlearn_plugins.memory.entropy import Entropy
from incrlearn_plugins.memory.herding import Herding
from incrlearn_plugins.memory.random import Random
from incrlearn_plugins.memory.reservoir import Reservoir


class TestClosestMean(PluginContract):
    plugin = ClosestMean
    options = {"total": 18}


class TestEntropy(PluginContract):
    plugin = Entropy
    options = {"total": 18}


class TestHerding(PluginContract):
    plugin = Herding
    options = {"total": 18}


class TestRandom(PluginContract):
    plugin = Random
    options = {"total": 18}


class TestReservoir(PluginContract):
    plugin = Reservoir
    options = {"total": 30}
