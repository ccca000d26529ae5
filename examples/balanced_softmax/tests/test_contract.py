"""The plug-in keeps the rules that all plug-ins keep, and the recipe of this package is valid with it."""

from pathlib import Path

from incrlearn import Registry, load_recipe
from incrlearn.testing import PluginContract

from incrlearn_balanced_softmax import BalancedSoftmax

RECIPE = Path(__file__).parents[1] / "recipes" / "balanced_softmax_digits.yaml"


class TestContract(PluginContract):
    """A test for each rule; the plug-in is trained in a tiny recipe for them, once through and once resumed."""

    plugin = BalancedSoftmax


def test_recipe_is_valid_and_uses_the_plugin() -> None:
    recipe = load_recipe(RECIPE, Registry.discover())
    assert BalancedSoftmax in [choice.plugin for choice in recipe.plugins]
