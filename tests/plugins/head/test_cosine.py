"""The cosine head against its definition, growing, narrowed, and in a pruned run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from incrlearn import PluginError, Registry, RunState, Task, hookimpl, load_network, run_recipe
from incrlearn.network import CosineClassifier, Drawable, Imprintable, Narrowable
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.head.cosine import Cosine, CosineHead, scaled_cosines


def grown(start: str, scale: float = 2.0) -> tuple[CosineHead, CosineHead]:
    """Heads of two tasks: 2 classes of 3 features, then 5 classes of 6."""
    plugin = Cosine("head", Cosine.Config.model_validate({"start": start, "scale": scale}))
    device = torch.device("cpu")
    old = plugin.grow_head(RunState(1, device, Task(1, 2, 0, 2), (3, 32, 32)), None, 3)
    assert isinstance(old, CosineHead)
    with torch.no_grad():
        old.scale.fill_(7.0)
    new = plugin.grow_head(RunState(1, device, Task(2, 2, 2, 5), (3, 32, 32)), old, 6)
    assert isinstance(new, CosineHead)
    return old, new


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 6), classes=st.integers(1, 5), scale=st.floats(0.1, 30))
def test_equals_the_definition_and_no_length_matters(seed: int, width: int, classes: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    features, weight = rng.normal(size=(4, width)), rng.normal(size=(classes, width))
    found = scaled_cosines(torch.from_numpy(features), torch.from_numpy(weight), scale).numpy()
    wanted = [[scale * f @ w / (np.sqrt(f @ f) * np.sqrt(w @ w)) for w in weight] for f in features]
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    longer = scaled_cosines(torch.from_numpy(features * 9), torch.from_numpy(weight * 0.2), scale).numpy()
    np.testing.assert_allclose(longer, found, atol=1e-9)


def test_by_hand() -> None:
    found = scaled_cosines(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, -5.0]]), 10.0)
    torch.testing.assert_close(found, torch.tensor([[6.0, -8.0], [0.0, 0.0]]))


def test_weights_and_scale_are_learned() -> None:
    _, head = grown("fresh")
    features = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    head(features).logsumexp(dim=1).sum().backward()
    for parameter in (head.weight, head.scale):
        assert parameter.grad is not None
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("start", ["fresh", "inherit"])
def test_old_weights_and_scale_stay_only_where_they_are_inherited(start: str) -> None:
    old, new = grown(start)
    assert new.weight.shape == (5, 6)
    assert torch.equal(new.weight[:2, :3], old.weight) is (start == "inherit")
    assert new.scale.item() == (7.0 if start == "inherit" else 2.0)


def test_drawing_anew_repeats_and_resets_the_scale() -> None:
    _, head = grown("inherit")
    assert isinstance(head, Drawable)
    head.draw(torch.Generator().manual_seed(4))
    first = head.weight.detach().clone()
    assert head.scale.item() == 2.0
    head.draw(torch.Generator().manual_seed(4))
    assert torch.equal(head.weight, first)


def test_narrowed_it_gives_the_cosines_among_the_features_left() -> None:
    _, head = grown("fresh")
    assert isinstance(head, Narrowable)
    kept = torch.tensor([0, 2, 5])
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    wanted = scaled_cosines(features[:, kept], head.weight[:, kept], head.scale)
    head.narrow(kept)
    assert head.in_features == 3
    assert torch.equal(head(features[:, kept]), wanted)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(ValidationError):
        Cosine.Config(scale=scale)


def fixed_head() -> tuple[CosineHead, CosineHead]:
    """Heads of two tasks over 3 features: 2 classes, then 5, of which the first two are fixed."""
    plugin = Cosine("head", Cosine.Config(old="fixed"))
    device = torch.device("cpu")
    old = plugin.grow_head(RunState(1, device, Task(1, 2, 0, 2), (3, 32, 32)), None, 3)
    new = plugin.grow_head(RunState(1, device, Task(2, 2, 2, 5), (3, 32, 32)), old, 3)
    assert isinstance(old, CosineHead)
    assert isinstance(new, CosineHead)
    return old, new


def test_fixed_weights_are_inherited_and_not_learned() -> None:
    old, new = fixed_head()
    assert torch.equal(new.weights()[:2], old.weights())
    assert old.weight.requires_grad
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    new(features).logsumexp(dim=1).sum().backward()
    assert [name for name, p in new.named_parameters() if p.grad is not None] == ["weight", "scale"]
    assert new.weight.shape == (3, 3)
    # Counted in the model and kept in its checkpoint, trained or not.
    assert sum(p.numel() for p in new.parameters()) == 5 * 3 + 1
    assert set(new.state_dict()) == {"weight", "fixed_weight", "scale"}


def test_head_with_fixed_weights_says_what_one_without_would() -> None:
    _, new = fixed_head()
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(new(features), scaled_cosines(features, new.weights(), new.scale))
    kept = torch.tensor([0, 2])
    narrowed = new.weights()[:, kept]
    new.narrow(kept)
    assert torch.equal(new.weights(), narrowed)
    assert [p.requires_grad for p in (new.weight, new.fixed_weight)] == [True, False]


def test_fixed_weights_are_not_drawn_anew_nor_given_more_features() -> None:
    old, new = fixed_head()
    with pytest.raises(PluginError, match="cannot be drawn anew: write old: learned"):
        new.draw(torch.Generator().manual_seed(1))
    plugin = Cosine("head", Cosine.Config(old="fixed"))
    state = RunState(1, torch.device("cpu"), Task(2, 2, 2, 5), (3, 32, 32))
    with pytest.raises(PluginError, match=r"'head': .*write old: learned \(there were 3 features, now 6\)"):
        plugin.grow_head(state, old, 6)


def test_cosines_are_the_logits_without_the_scale() -> None:
    old, _ = grown("inherit")
    assert isinstance(old, CosineClassifier)
    assert isinstance(old, Imprintable)
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(7 * old.cosines(features), old(features))
    assert old.cosines(features).abs().max() <= 1 + 1e-6


class PowerCut:
    """Stops a run when its third task begins."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.task.number == 3:
            raise KeyboardInterrupt


def test_pruned_run_with_it_is_resumed_the_same(tmp_path: Path) -> None:
    rows = tiny_recipe(
        head={"use": "cosine", "scale": 10.0},
        train={"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 4, "milestones": [3], "warmup": 1},
        pruning={"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
    )
    registry = Registry.of({"synthetic": SyntheticData})
    recipe = recipe_from_dict(rows, registry, "tiny")
    run_recipe(recipe, tmp_path / "through", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "cut", device="cpu", watchers=(PowerCut(),))
    run_recipe(recipe, tmp_path / "cut", device="cpu", resume=True)
    first, second = (load_network(tmp_path / name, registry=registry) for name in ("through", "cut"))
    assert first.width < 3 * 8
    assert isinstance(first.head, CosineHead)
    assert first.head.weight.shape == (6, first.width)
    one, other = first.state_dict(), second.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
