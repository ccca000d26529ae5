"""Recipes: YAML with line numbers, validated into a frozen `Recipe`; every problem is told at once."""

from incrlearn.recipe.load import load_recipe, recipe_from_dict
from incrlearn.recipe.model import DataChoice, PluginChoice, Recipe
from incrlearn.recipe.nodes import dump_yaml
from incrlearn.recipe.options import BackboneOptions, Expected, ScenarioOptions
from incrlearn.recipe.schema import recipe_schema
from incrlearn.recipe.shipped import describe, find_recipe, shipped_recipes

__all__ = [
    "BackboneOptions",
    "DataChoice",
    "Expected",
    "PluginChoice",
    "Recipe",
    "ScenarioOptions",
    "describe",
    "dump_yaml",
    "find_recipe",
    "load_recipe",
    "recipe_from_dict",
    "recipe_schema",
    "shipped_recipes",
]
