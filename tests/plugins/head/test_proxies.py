"""The head of proxies against its definition: growing, fixed, imprinted, narrowed; and PODNet as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from incrlearn import PluginError, RecipeError, Registry, Result, RunState, Task, hookimpl, load_network, run_recipe
from incrlearn.network import CosineClassifier, Drawable, Imprintable, Narrowable
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.head.cosine import CosineHead
from incrlearn_plugins.head.proxies import Proxies, ProxiesHead, k_means, proxy_similarities


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(width: int = 4, classes: int = 3, proxies: int = 2, scale: float = 2.0, fixed: int = 0) -> ProxiesHead:
    return ProxiesHead(width, classes, proxies, scale, generator(), fixed)


def grown(width: int = 4, **options: Any) -> tuple[ProxiesHead, ProxiesHead]:
    """Heads of two tasks: 2 classes of 4 features, then 5 classes of ``width``."""
    plugin = Proxies("head", Proxies.Config.model_validate({"proxies": 3, "scale": 2.0, **options}))
    device = torch.device("cpu")
    old = plugin.grow_head(RunState(1, device, Task(1, 2, 0, 2), (3, 32, 32)), None, 4)
    assert isinstance(old, ProxiesHead)
    with torch.no_grad():
        old.scale.fill_(7.0)
    new = plugin.grow_head(RunState(1, device, Task(2, 2, 2, 5), (3, 32, 32)), old, width)
    assert isinstance(new, ProxiesHead)
    return old, new


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), width=st.integers(1, 5), classes=st.integers(1, 4), proxies=st.integers(1, 4))
def test_equals_the_definition(seed: int, width: int, classes: int, proxies: int) -> None:
    head = ProxiesHead(width, classes, proxies, 3.0, generator(seed)).double()
    features = torch.randn(3, width, generator=generator(seed + 1), dtype=torch.float64)
    theta = head.weight.detach().numpy().reshape(classes, proxies, width)
    wanted = np.zeros((3, classes))
    for i, h in enumerate(features.numpy()):
        for k in range(classes):
            cosines = [t @ h / np.sqrt((t @ t) * (h @ h)) for t in theta[k]]
            shares = np.exp(cosines) / np.exp(cosines).sum()
            wanted[i, k] = (shares * cosines).sum()
    np.testing.assert_allclose(head.cosines(features).detach().numpy(), wanted, atol=1e-9)
    np.testing.assert_allclose(head(features).detach().numpy(), 3 * wanted, atol=1e-9)


def test_by_hand() -> None:
    # One class of the cosines 1 and 0: shares e / (e + 1) and 1 / (e + 1).
    assert proxy_similarities(torch.tensor([[[1.0, 0.0]]])).item() == pytest.approx(np.e / (np.e + 1))
    # Equal cosines are their own mean, and one proxy is its cosine.
    assert proxy_similarities(torch.tensor([[[0.3, 0.3], [-1.0, -1.0]]])).tolist() == [pytest.approx([0.3, -1.0])]
    assert proxy_similarities(torch.tensor([[[0.5]]])).item() == pytest.approx(0.5)


def test_with_one_proxy_it_is_the_cosine_head() -> None:
    features = torch.randn(5, 4, generator=generator(3))
    torch.testing.assert_close(made(proxies=1)(features), CosineHead(4, 3, 2.0, generator())(features))


def test_proxies_and_scale_are_learned() -> None:
    head = made()
    head(torch.randn(8, 4, generator=generator(2))).logsumexp(dim=1).sum().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("start", ["fresh", "inherit"])
def test_old_proxies_and_scale_stay_only_where_they_are_inherited(start: str) -> None:
    old, new = grown(start=start, width=6)
    assert new.weights().shape == (5 * 3, 6)
    assert torch.equal(new.weights()[: 2 * 3, :4], old.weights()) is (start == "inherit")
    assert new.scale.item() == (7.0 if start == "inherit" else 2.0)


def test_fixed_proxies_are_those_of_the_old_classes_and_get_no_gradient() -> None:
    old, new = grown(old="fixed")
    assert new.fixed_weight is not None
    assert torch.equal(new.fixed_weight, old.weights())
    assert new.weight.shape == (3 * 3, 4)
    new(torch.randn(4, 4, generator=generator())).logsumexp(dim=1).sum().backward()
    assert new.fixed_weight.grad is None
    assert new.weight.grad is not None
    with pytest.raises(PluginError, match="there were 4 features, now 6"):
        grown(width=6, old="fixed")


@pytest.mark.parametrize("old", ["learned", "fixed"])
def test_head_knows_what_others_ask_of_heads(old: str) -> None:
    _, head = grown(old=old)
    for protocol in (CosineClassifier, Imprintable, Narrowable, Drawable):
        assert isinstance(head, protocol)


def test_narrowed_it_gives_the_cosines_among_the_features_left() -> None:
    _, head = grown(old="fixed")
    kept = torch.tensor([0, 3])
    features = torch.randn(4, 4, generator=generator())
    theta = head.weights()[:, kept].view(5, 3, 2)
    cosines = torch.cosine_similarity(features[:, None, None, kept], theta, dim=3)
    wanted = head.scale * proxy_similarities(cosines)
    head.narrow(kept)
    assert head.in_features == 2
    torch.testing.assert_close(head(features[:, kept]), wanted)


# -- imprinting ----------------------------------------------------------------------------------------------------


def clouds(places: Tensor, each: int, spread: float = 0.01) -> Tensor:
    """Points around each place, all of them in turn."""
    noise = torch.randn(each, *places.shape, generator=generator(5), dtype=places.dtype)
    return (places + spread * noise).flatten(end_dim=1)


def test_k_means_finds_clouds_that_are_apart() -> None:
    places = torch.eye(4, dtype=torch.float64)[:3]
    points = clouds(places, each=20)
    centres = k_means(points, 3, generator())
    order = centres.argmax(dim=1).argsort()
    wanted = points.view(20, 3, 4).mean(dim=0)
    torch.testing.assert_close(centres[order], wanted)


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), n=st.integers(1, 30), count=st.integers(1, 6))
def test_k_means_ends_where_each_centre_is_the_mean_of_what_is_nearest(seed: int, n: int, count: int) -> None:
    points = torch.randn(n, 3, generator=generator(seed), dtype=torch.float64)
    centres = k_means(points, count, generator(seed))
    assert centres.shape == (min(n, count), 3)
    nearest = torch.cdist(points, centres).argmin(dim=1)
    for number in range(len(centres)):
        assert bool((nearest == number).any())
        torch.testing.assert_close(centres[number], points[nearest == number].mean(dim=0))
    assert torch.equal(centres, k_means(points, count, generator(seed)))


def test_k_means_of_equal_points_is_that_point() -> None:
    assert k_means(torch.ones(5, 2), 3, generator()).tolist() == [[1, 1]] * 3


def test_imprinting_starts_new_proxies_at_the_centres_and_leaves_the_old_ones() -> None:
    _, head = grown()
    before = head.weights().clone()
    places = torch.eye(4)[:3]
    own = [5 * clouds(places.roll(shift, dims=1), each=10) for shift in range(3)]
    head.imprint(2, own, generator())
    after = head.weights().detach()
    assert torch.equal(after[:6], before[:6])
    assert head.scale.item() == 7.0
    length = before[:6].norm(dim=1).mean()
    for number, features in enumerate(own):
        proxies = after[6 + 3 * number : 9 + 3 * number]
        torch.testing.assert_close(proxies.norm(dim=1), length.expand(3), rtol=1e-3, atol=0)
        nearest = torch.cosine_similarity(features[:, None], proxies[None], dim=2).amax(dim=1)
        assert nearest.min() > 0.99


def test_class_of_fewer_images_than_proxies_keeps_the_others_as_drawn() -> None:
    _, head = grown()
    before = head.weights().clone()
    head.imprint(2, [torch.randn(1, 4), torch.randn(9, 4), torch.randn(2, 4)], generator())
    same = (head.weights() == before).all(dim=1).tolist()
    assert same == [True] * 6 + [False, True, True] + [False] * 3 + [False, False, True]


@pytest.mark.parametrize("options", [{"proxies": 0}, {"scale": 0.0}, {"old": "fixed", "start": "fresh"}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Proxies.Config.model_validate(options)


# -- PODNet as a whole ---------------------------------------------------------------------------------------------

REGISTRY = Registry.of({"synthetic": SyntheticData})


def podnet(**rows: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "network": "single",
        "head": {"use": "proxies", "proxies": 3, "old": "fixed"},
        "imprint": "imprint",
        "loss": "nca",
        "distil": "pod",
        "auxiliary": None,
        "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "shape": "cosine", "warmup": 0},
        "balance": {"use": "balanced_finetune", "losses": "classification", "epochs": 2, "batch": 16},
    }
    values = tiny_recipe(**(own | rows))
    values["backbone"]["signed"] = True
    return values


class PowerCut:
    """Stops a run in the second epoch of the third task."""

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if (state.task.number, state.epoch) == (3, 1):
            raise KeyboardInterrupt


class OldProxies:
    """Whether the proxies of old classes moved, by task and phase."""

    def __init__(self) -> None:
        self.before = torch.empty(0)
        self.moved: dict[tuple[int, str], bool] = {}

    def proxies(self, state: RunState) -> Tensor:
        head = state.network.head
        assert isinstance(head, ProxiesHead)
        return head.weights().detach()[: state.task.known * head.proxies].clone()

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        self.before = self.proxies(state)

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        assert state.phase is not None
        if state.task.known:
            self.moved[state.task.number, state.phase.name] = not torch.equal(self.proxies(state), self.before)
        assert not any(p.requires_grad for name, p in state.network.head.named_parameters() if "fixed" in name)


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    return run_recipe(
        recipe_from_dict(podnet(**rows), REGISTRY, "tiny"), out, device="cpu", watchers=watchers, resume=resume
    )


def comparable(result: Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"seconds", "latency_ms"}} for row in result.summary["tasks"]]


def test_three_tasks_train_and_a_resumed_run_equals_one_that_went_through(tmp_path: Path) -> None:
    watcher = OldProxies()
    through = run(tmp_path / "through", watcher)
    # As PODNet's authors have it: fixed while all data is there, learned on the balanced part.
    assert watcher.moved == {(2, "train"): False, (2, "balance"): True, (3, "train"): False, (3, "balance"): True}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut())
    resumed = run(tmp_path / "cut", resume=True)
    assert comparable(resumed) == comparable(through)
    first, second = (load_network(path, registry=REGISTRY).state_dict() for path in (through.run_dir, resumed.run_dir))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_proxies_over_a_growing_network_that_is_pruned(tmp_path: Path) -> None:
    result = run(
        tmp_path / "run",
        network="expandable",
        head={"use": "proxies", "proxies": 2},
        imprint=None,
        distil=None,
        auxiliary="auxiliary",
        train={"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 4, "milestones": [3], "warmup": 1},
        pruning={"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
    )
    head = load_network(result.run_dir, registry=REGISTRY).head
    assert isinstance(head, ProxiesHead)
    assert head.in_features < 3 * 8
    assert head.weight.shape == (6 * 2, head.in_features)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"network": "expandable"}, r"plugins\.head does not go with 'network': .*write old: learned"),
        (
            {"train": {"use": "sgd", "epochs": 4, "milestones": [], "warmup": 1}},
            r"plugins\.imprint does not go with 'train': .*write fresh_heads: false",
        ),
        ({"head": "linear"}, r"plugins\.imprint needs 'imprinting'"),
    ],
    ids=["expandable", "fresh heads", "linear"],
)
def test_what_does_not_fit_is_refused_by_the_recipe(rows: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        recipe_from_dict(podnet(**rows), REGISTRY, "tiny")
