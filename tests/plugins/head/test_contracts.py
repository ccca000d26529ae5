"""The head plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.head.cosine import Cosine
from incrlearn_plugins.head.linear import Linear
from incrlearn_plugins.head.proxies import Proxies


class TestLinear(PluginContract):
    plugin = Linear


class TestCosine(PluginContract):
    plugin = Cosine


class TestProxies(PluginContract):
    plugin = Proxies
