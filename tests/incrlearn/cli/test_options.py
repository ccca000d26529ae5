"""``NAME=VALUE`` as after --resource, --set of a plug-in, and --beside."""

import pytest

from incrlearn import RecipeError
from incrlearn.cli.options import read_pairs


def test_values_are_yaml() -> None:
    texts = ["num_gpus=0.5", "slurm_partition=long", "head={use: cosine}", "auxiliary=null"]
    assert read_pairs("--resource", texts) == {
        "num_gpus": 0.5,
        "slurm_partition": "long",
        "head": {"use": "cosine"},
        "auxiliary": None,
    }


@pytest.mark.parametrize("text", ["num_gpus", "x={", "=3"])
def test_what_is_no_pair_is_told_under_the_name_of_the_option(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^--resource: 1 problem") as caught:
        read_pairs("--resource", [text])
    assert "--set" not in str(caught.value)
