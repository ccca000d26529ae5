"""For tests of plug-ins: small synthetic worlds, and the contract that every plug-in keeps.

`PluginContract` needs pytest and is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from incrlearn.testing.worlds import SyntheticData, tiny_recipe

if TYPE_CHECKING:
    from incrlearn.testing.contract import PluginContract

__all__ = ["PluginContract", "SyntheticData", "tiny_recipe"]


def __getattr__(name: str) -> object:
    """Load the contract on first use."""
    if name == "PluginContract":
        from incrlearn.testing.contract import PluginContract

        return PluginContract
    raise AttributeError(f"module 'incrlearn.testing' has no attribute '{name}'")
