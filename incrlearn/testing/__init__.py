"""For tests of plug-ins: small synthetic worlds."""

from incrlearn.testing.worlds import SyntheticData, tiny_recipe

__all__ = ["SyntheticData", "tiny_recipe"]
