"""Recipes: YAML with line numbers, validated into a frozen `Recipe`; every problem is told at once."""

from incrlearn.recipe.load import load_edited, load_recipe, load_written, recipe_from_dict, written_from_dict
from incrlearn.recipe.model import DataChoice, PluginChoice, Recipe
from incrlearn.recipe.nodes import Node, Place, Problems, dump_yaml, read_yaml
from incrlearn.recipe.options import BackboneOptions, Expected, ScenarioOptions
from incrlearn.recipe.overrides import Edit, read_overrides
from incrlearn.recipe.schema import recipe_schema
from incrlearn.recipe.shipped import describe, find_recipe, find_shipped, shipped_ablations, shipped_recipes

__all__ = [
    "BackboneOptions",
    "DataChoice",
    "Edit",
    "Expected",
    "Node",
    "Place",
    "PluginChoice",
    "Problems",
    "Recipe",
    "ScenarioOptions",
    "describe",
    "dump_yaml",
    "find_recipe",
    "find_shipped",
    "load_edited",
    "load_recipe",
    "load_written",
    "read_overrides",
    "read_yaml",
    "recipe_from_dict",
    "recipe_schema",
    "shipped_ablations",
    "shipped_recipes",
    "written_from_dict",
]
