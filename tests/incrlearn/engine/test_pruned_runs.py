"""Pruned networks on disk: runs that go on, networks built again, layouts that do not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from incrlearn import Network, OutputError, Registry, Result, RunState, hookimpl, load_network, run_recipe
from incrlearn.data import make_loader
from incrlearn.engine.plan import make_plan
from incrlearn.metrics import top_k_accuracy
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import load_recipe, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

REGISTRY = Registry.of({"synthetic": SyntheticData})


def recipe() -> dict[str, Any]:
    return tiny_recipe(
        train={"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 4, "milestones": [3], "warmup": 1},
        pruning={"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
    )


def run(out: Path, *watchers: object, resume: bool = False) -> Result:
    loaded = recipe_from_dict(recipe(), REGISTRY, "tiny")
    return run_recipe(loaded, out, device="cpu", watchers=watchers, resume=resume)


class PowerCut:
    """Stops a run at the end of an epoch."""

    def __init__(self, task: int, phase: str, epoch: int) -> None:
        self.at = (task, phase, epoch)

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        assert state.phase is not None
        if (state.task.number, state.phase.name, state.epoch + 1) == self.at:
            raise KeyboardInterrupt


def built(run_dir: Path, task: int | None = None) -> BranchedNetwork:
    network = load_network(run_dir, task, registry=REGISTRY)
    assert isinstance(network, BranchedNetwork)
    return network


def comparable(result: Result) -> list[dict[str, Any]]:
    wall_times = {"seconds", "latency_ms"}
    return [{k: v for k, v in row.items() if k not in wall_times} for row in result.summary["tasks"]]


def assert_same_bits(first: Network, second: Network) -> None:
    one, other = first.state_dict(), second.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("finished") / "run")


# In the middle of the masks' learning, after the removal, and in the classifier stage.
@pytest.mark.parametrize("cut", [(1, "train", 3), (2, "train", 1), (2, "train", 3), (3, "balance", 1)])
def test_resumed_run_equals_one_that_went_through(finished: Result, tmp_path: Path, cut: tuple[int, str, int]) -> None:
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(out, PowerCut(*cut))
    resumed = run(out, resume=True)
    assert comparable(resumed) == comparable(finished)
    for task in (1, 2, 3):
        assert_same_bits(built(out, task), built(finished.run_dir, task))


def test_rows_of_finished_tasks_tell_what_was_pruned_after_a_resume(finished: Result, tmp_path: Path) -> None:
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(out, PowerCut(3, "train", 1))
    rows = run(out, resume=True).summary["tasks"]
    assert [row["pruned"] for row in rows] == [row["pruned"] for row in finished.summary["tasks"]]
    assert all(len(row["pruned"]) == 1 for row in rows)


def test_built_network_has_the_sizes_that_the_rows_tell(finished: Result) -> None:
    full = recipe_from_dict(recipe(), REGISTRY, "tiny").backbone.options["channels"][-1]
    for row in finished.summary["tasks"]:
        network = built(finished.run_dir, row["task"])
        assert sum(parameter.numel() for parameter in network.parameters()) == row["parameters"]
        (report,) = row["pruned"]
        newest = network.backbones[-1]
        assert sum(parameter.numel() for parameter in newest.parameters()) == report["parameters_after"]
        assert network.head.in_features == network.width
        modules = dict(newest.named_modules())
        kept = {name: modules[name].out_channels for name in report["channels"]}
        assert kept == {name: count for name, (count, _) in report["channels"].items()}
    assert min(built(finished.run_dir).widths) < full


def test_built_network_scores_the_test_images_as_the_rows_tell(finished: Result) -> None:
    plan = make_plan(load_recipe(finished.run_dir / "recipe.yaml", REGISTRY))
    loader = make_loader(plan.source, plan.source.test, torch.device("cpu"))
    for task, row in zip(plan.scenario.tasks, finished.summary["tasks"], strict=True):
        (batch,) = loader.plain(plan.scenario.test_samples(task), 100)
        with torch.no_grad():
            logits = built(finished.run_dir, task.number)(batch.images).logits
        # The same measure as the engine's: with so few features logits tie, and others break ties in other ways.
        assert top_k_accuracy(logits, batch.labels, 1) == pytest.approx(row["top1"])


def checkpoint(run_dir: Path, task: int) -> Path:
    return run_dir / "checkpoints" / f"task_{task:02d}" / "state.pt"


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A run of which one task is finished."""
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", PowerCut(2, "train", 1))
    return tmp_path / "run"


def rewrite(path: Path, **changes: Any) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | changes, path)


def test_checkpoint_of_the_old_format_is_refused(short: Path) -> None:
    rewrite(checkpoint(short, 1), format=1)
    refusal = r"state\.pt: format 1, but this version of incrlearn reads format 2"
    with pytest.raises(OutputError, match=refusal):
        built(short)
    with pytest.raises(OutputError, match=refusal):
        run(short, resume=True)


def test_layout_of_another_backbone_is_refused(short: Path) -> None:
    layout = torch.load(checkpoint(short, 1), weights_only=True)["layout"]
    ((removal, *_), *_) = layout["removed"]
    removal["channels"]["model.layer9.0.conv1"] = [0]
    rewrite(checkpoint(short, 1), layout=layout)
    with pytest.raises(OutputError, match="the layout tells of channels that this backbone has not"):
        built(short)


def test_layout_that_lacks_what_was_removed_is_refused(short: Path) -> None:
    layout = torch.load(checkpoint(short, 1), weights_only=True)["layout"]
    rewrite(checkpoint(short, 1), layout=layout | {"removed": [[]]})
    with pytest.raises(OutputError, match="the checkpoint has other shapes than the network"):
        built(short)
    rewrite(checkpoint(short, 1), layout=layout | {"removed": []})
    with pytest.raises(OutputError, match="not the layout of a branched network"):
        built(short)
