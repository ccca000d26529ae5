"""Loss terms that change nothing in training are told, and those that are meant so are let go."""

import json
from pathlib import Path

import pytest
import torch

from incrlearn import LossTerm, Output, Plugin, PluginError, Registry, RunState, hookimpl, run_recipe
from incrlearn.answers import check_learning_terms
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

BALANCE = {"use": "balanced_head", "epochs": 1, "lr": 0.05, "milestones": [], "batch": 16}


class Watches(Plugin):
    """A term that is to be added to the loss, and was computed past the network."""

    kind = "loss"

    class Config(Plugin.Config):
        constant: float | None = None
        weight: float = 0.1
        from_epoch: int = 0
        in_head: bool = False

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> list[LossTerm]:
        config = self.config
        if config.constant is not None:
            return [LossTerm(self.name, torch.tensor(config.constant), config.weight)]
        # As of a penalty on the way from where the weights were: nothing at first.
        factor = float(state.epoch >= config.from_epoch)
        return [LossTerm(self.name, factor * out.features.detach().square().mean(), config.weight)]


class DetachedInHead(Plugin):
    """A loss without a gradient in a phase that trains the head alone."""

    kind = "loss"
    provides = frozenset({"classification"})

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> list[LossTerm]:
        logits = out.logits.detach() if state.phase is not None and state.phase.trains == "head" else out.logits
        return [LossTerm(self.name, logits.square().mean())]


class Detached(DetachedInHead):
    """A loss without a gradient anywhere."""

    @hookimpl
    def loss_terms(self, out: Output) -> list[LossTerm]:
        return [LossTerm(self.name, out.logits.detach().square().mean())]


def run(out: Path, **rows: object) -> list[str]:
    """Train the tiny recipe with one extractor; the kinds of the rows that were recorded."""
    known = {"watches": Watches, "detached": Detached, "detached_in_head": DetachedInHead}
    plain: dict[str, object] = {"network": "single", "auxiliary": None, "balance": None, "log": "jsonl", **rows}
    registry = Registry.of({"synthetic": SyntheticData, **known})
    run_recipe(recipe_from_dict(tiny_recipe(**plain), registry, "tiny"), out, device="cpu")
    return kinds(out)


def kinds(out: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_loss_without_a_gradient_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"plugins.loss: loss_terms must give .*; got [\d.e-]+ without a gradient"):
        run(tmp_path / "run", loss="detached")


def test_phase_of_the_head_whose_loss_has_no_gradient_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"no gradient comes from the loss of phase 'balance' \(loss\)"):
        run(tmp_path / "run", loss="detached_in_head", balance=BALANCE)


@pytest.mark.parametrize("from_epoch", [0, 1])
def test_term_without_a_gradient_beside_others_is_told_in_the_epoch_that_it_would_count_in(
    tmp_path: Path, from_epoch: int
) -> None:
    words = (
        r"^plugins.extra: loss_terms must give a LossTerm 'extra' whose value has a gradient: without one it changes "
        r"nothing in training; got [\d.e-]+ without a gradient; compute it from out.logits, .* give it weight 0"
    )
    with pytest.raises(PluginError, match=words) as caught:
        run(tmp_path / "run", extra={"use": "watches", "from_epoch": from_epoch})
    assert caught.value.__notes__ == ["while 'extra' answered loss_terms, task 1"]
    if from_epoch:
        assert kinds(tmp_path / "run") == ["epoch"]


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"constant": 0.0}], ids=["weight 0", "nothing to do"])
def test_term_without_a_gradient_that_would_count_nothing_anyway_is_let_go(
    tmp_path: Path, options: dict[str, float]
) -> None:
    assert run(tmp_path / "run", extra={"use": "watches", **options})[-1] == "result"


def test_term_of_features_may_lack_a_gradient_where_they_have_none() -> None:
    value, logits = torch.tensor(1.0), torch.ones(2, 3, requires_grad=True)
    frozen, learning = torch.ones(2, 4), torch.ones(2, 4, requires_grad=True)
    assert check_learning_terms([LossTerm("a", value)], Output((frozen,), frozen, logits))[0].value is value
    with pytest.raises(PluginError, match="must give a LossTerm 'a' whose value has a gradient"):
        check_learning_terms([LossTerm("a", value)], Output((frozen, learning), learning, logits))
