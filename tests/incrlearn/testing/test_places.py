"""The second device that every machine has: what lies where, and what a GPU would refuse."""

import copy
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from incrlearn.testing.places import DEVICE, second_device


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is told while the device is there."""
    found: list[str] = []
    with second_device(lambda operation, message: found.append(f"{operation} {message}")):
        yield found


def there(size: int = 3) -> Tensor:
    return torch.ones(size, device=DEVICE)


def here(size: int = 3) -> Tensor:
    return torch.ones(size)


FOLLOWS: dict[str, Callable[[Tensor], Tensor]] = {
    "arithmetic": lambda x: 2 * x + 1,
    "a view": lambda x: x.view(3, 1)[1:],
    "detached": lambda x: x.detach(),
    "a parameter": nn.Parameter,
    "a parameter's copy": lambda x: copy.deepcopy(nn.Parameter(x)),
    "ones like it": torch.ones_like,
    "new ones": lambda x: x.new_ones(2),
    "on its device": lambda x: torch.zeros(2, device=x.device),
    "of its kind": lambda x: torch.zeros(2).to(x),
    "its sum": lambda x: x.sum(),
    "with a number": lambda x: x + torch.tensor(1.0),
    "one of several": lambda x: x.split(1)[2],
    "several": lambda x: torch.stack([x, x]),
    "another dtype": lambda x: x.to(torch.float64),
    "its gradient": lambda x: gradient(nn.Parameter(x)),
    "its gradient, where a hook sees it": lambda x: seen(nn.Parameter(x)),
    "a gradient through a function of one's own": lambda x: gradient_of(Doubled.apply, nn.Parameter(x)),
    "by vmap": lambda x: torch.func.vmap(lambda one: one * x.sum())(x),
    "by func.grad": lambda x: torch.func.grad(lambda one: one.square().sum())(x),
    "loaded": lambda x: loaded(x),
    "a lazy module's": lambda x: nn.LazyLinear(2).to(x.device)(x.expand(2, 3)),
    "a number of it": lambda x: x.mean() + 1,
    "by autograd": lambda x: autograd(nn.Parameter(x)),
}


class Doubled(torch.autograd.Function):
    """Twice something, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * gradient * torch.ones_like(x) * torch.ones(3, device=gradient.device)


def gradient_of(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    function(x).square().sum().backward()
    assert x.grad is not None
    return x.grad


def seen(x: Tensor) -> Tensor:
    found: list[Tensor] = []
    y = 2 * x
    y.register_hook(lambda gradient: found.append(gradient.detach() + 0))
    y.sum().backward()
    return found[0]


def loaded(x: Tensor) -> Tensor:
    stream = io.BytesIO()
    torch.save({"x": x}, stream)
    stream.seek(0)
    content: dict[str, Tensor] = torch.load(stream, map_location=x.device, weights_only=True)
    return content["x"]


def gradient(x: Tensor) -> Tensor:
    x.square().sum().backward()
    assert x.grad is not None
    return x.grad


def autograd(x: Tensor) -> Tensor:
    return torch.autograd.grad(x.square().sum(), x)[0]


@pytest.mark.parametrize("make", FOLLOWS.values(), ids=FOLLOWS)
def test_what_is_computed_from_a_tensor_lies_where_it_does(told: list[str], make: Callable[[Tensor], Tensor]) -> None:
    assert make(there()).device == DEVICE
    assert make(here()).device == torch.device("cpu")
    assert told == []


def test_a_module_and_its_optimizer_move_as_a_whole(told: list[str]) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(device=DEVICE)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        module(torch.randn(5, 3).to(DEVICE)).square().sum().backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    assert {tensor.device for tensor in module.state_dict().values()} == {DEVICE}
    copied = copy.deepcopy(module)
    copied.load_state_dict({name: tensor.cpu() for name, tensor in module.state_dict().items()})
    assert {tensor.device for tensor in copied.parameters()} == {DEVICE}
    assert told == []


def test_what_is_brought_to_the_host_is_a_copy(told: list[str]) -> None:
    x = there()
    for brought in (x.cpu(), x.to("cpu"), torch.from_numpy(np.ones(3))):
        assert brought.device == torch.device("cpu")
        brought.zero_()
    assert x.tolist() == [1, 1, 1]
    assert x.device == DEVICE
    assert told == []


def test_what_is_there_already_is_not_copied(told: list[str]) -> None:
    weight = nn.Parameter(there())
    assert weight.to(DEVICE) is weight
    assert weight.to(weight.device, torch.float32) is weight
    assert weight.to(there()).data_ptr() == weight.data_ptr()
    assert told == []


def test_what_is_moved_leaves_the_original_where_it_was(told: list[str]) -> None:
    x = here()
    for moved in (x.to(DEVICE), x.to(str(DEVICE)), x.to(there()), torch.as_tensor(x, device=DEVICE)):
        assert moved.device == DEVICE
        assert x.device == torch.device("cpu")
        moved.zero_()
    assert x.tolist() == [1, 1, 1]
    assert told == []


def adam(module: nn.Module) -> None:
    optimizer = torch.optim.Adam(module.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        module(there()).sum().backward()
        optimizer.step()


def hooked(x: Tensor) -> None:
    y = 2 * x
    y.register_hook(lambda gradient: gradient * torch.ones(3))
    y.sum().backward()


ALLOWED: dict[str, Callable[[], object]] = {
    "an index of the host": lambda: there()[torch.tensor([0, 2])],
    "a copy across": lambda: there().copy_(here()),
    "weights of the host, filled from the device": lambda: here().copy_(there()).normal_(generator=torch.Generator()),
    "a module of the host, loaded from the device": lambda: nn.Linear(3, 2).load_state_dict(
        nn.Linear(3, 2).to(DEVICE).state_dict()
    ),
    "numbers of the device, read": lambda: torch.tensor([there().sum(), there().sum()]).numpy(),
    "as many as the device says": lambda: torch.arange(there().sum()).numpy(),
    "numpy by force": lambda: there().numpy(force=True),
    "a sum that starts on the host": lambda: torch.tensor(0.0) + there().sum(),
    "a value for places by index": lambda: there().__setitem__(torch.tensor([0]), 2.0),
    "lengths on the host": lambda: nn.utils.rnn.pack_padded_sequence(there(6).view(2, 3, 1), torch.tensor([2, 2, 1])),
    "adam": lambda: adam(nn.Linear(3, 2).to(DEVICE)),
    "a number of the host": lambda: there() * torch.tensor(2.0),
    "a slice that is set": lambda: there().__setitem__(slice(0, 2), here(2)),
    "a draw on the host that is moved": lambda: torch.randn(3, generator=torch.Generator()).to(DEVICE),
}
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a sum": (lambda: there() + here(), "add mixes tensors of two devices: (3,) on the device, (3,) on the host"),
    "a list": (lambda: torch.cat([there(), here()]), "cat mixes tensors"),
    "a keyword": (lambda: torch.where(there() > 0, input=there(), other=here()), "where mixes tensors"),
    "a running sum on the host": (lambda: here(1)[0].add_(there().sum()), "add_ mixes tensors"),
    "a number of the device with the host's": (lambda: here() * there().sum(), "mul mixes tensors"),
    "numbers in a list": (lambda: torch.stack([there().sum(), torch.tensor(0.0)]), "stack mixes tensors"),
    "places by index": (
        lambda: there().__setitem__(torch.tensor([0]).to(DEVICE), here(1)),
        "setting by an index mixes",
    ),
    "places of the host": (lambda: here().__setitem__(torch.tensor([0]).to(DEVICE), 1.0), "setting by an index mixes"),
    "a gradient": (lambda: setattr(nn.Parameter(there()), "grad", here()), "grad mixes tensors"),
    "in a gradient's hook": (lambda: hooked(nn.Parameter(there())), "mul mixes tensors"),
    "a draw by weights": (
        lambda: there().multinomial(2, generator=torch.Generator()),
        "multinomial draws on the device",
    ),
    "in place": (lambda: there().add_(here()), "add_ mixes tensors"),
    "an index of the device": (lambda: here()[torch.tensor([0]).to(DEVICE)], "__getitem__ mixes tensors"),
    "a loss": (lambda: nn.functional.mse_loss(there(), here()), "mse_loss mixes tensors"),
    "a module": (lambda: nn.Linear(3, 2)(there()), "linear mixes tensors"),
    "numpy": (lambda: there().numpy(), "numpy cannot read"),
    "numpy's own": (lambda: np.asarray(there()), "__array__ cannot read"),
    "a draw": (lambda: torch.rand(3, generator=torch.Generator(), device=DEVICE), "rand draws on the device"),
    "a draw in place": (lambda: there().normal_(generator=torch.Generator()), "normal_ draws on the device"),
}


@pytest.mark.parametrize("work", ALLOWED.values(), ids=ALLOWED)
def test_what_a_gpu_allows_is_not_told(told: list[str], work: Callable[[], object]) -> None:
    work()
    assert told == []


@pytest.mark.parametrize(("work", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_gpu_refuses_is_told_once(told: list[str], work: Callable[[], object], words: str) -> None:
    work()
    (message,) = told
    assert message.startswith(words)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="holds the table against a GPU")
@pytest.mark.parametrize("work", [work for work, _ in REFUSED.values()], ids=REFUSED)
def test_a_gpu_does_refuse_it(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    monkeypatch.setitem(globals(), "DEVICE", torch.device("cuda"))
    with pytest.raises((RuntimeError, TypeError)):
        work()


def test_memory_that_is_used_anew_has_no_place_from_before(told: list[str]) -> None:
    for size in range(1, 200):
        there(size)
        assert here(size).device == torch.device("cpu")
    assert told == []
