"""The score plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.score.nearest_mean import NearestMean


class TestNearestMean(PluginContract):
    plugin = NearestMean
