"""The prune plug-ins keep the contract of all plug-ins."""

from incrlearn.testing import PluginContract
from incrlearn_plugins.prune.channel_mask import ChannelMask


class TestChannelMask(PluginContract):
    plugin = ChannelMask
    options = {"keep": 0.5}
