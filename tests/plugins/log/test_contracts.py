"""The log plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.log.jsonl import Jsonl


class TestJsonl(PluginContract):
    plugin = Jsonl
