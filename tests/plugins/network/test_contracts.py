"""The network plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.network.expandable import Expandable
from incrlearn_plugins.network.single import Single


class TestExpandable(PluginContract):
    plugin = Expandable


class TestSingle(PluginContract):
    plugin = Single
    beside = {"auxiliary": None}
