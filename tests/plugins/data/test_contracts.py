"""The data plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.data.digits import Digits


class TestDigits(PluginContract):
    plugin = Digits
    options = {"classes": 6}
