"""What plug-ins may answer: each answer is held against what its hook asks for, and refused in words that say both.

Every check takes an answer, gives it back in the form that the engine uses, and raises a `PluginError` that tells what
was expected and what came. None of them waits for the device: types and shapes are known without it. Only a term of a
loss that learns nothing is looked at more closely, see `check_learning_terms`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from incrlearn.errors import PluginError
from incrlearn.types import HeldOut, LossTerm, Network, Output, Phase, Samples

_LONGEST = 100
"""Letters of a value that are told."""


class UnansweredError(PluginError):
    """Somebody had to answer, and those who could have rightly did not."""


def check_lines(answer: object) -> list[str]:
    """An answer to ``explain``: lines of text."""
    if isinstance(answer, list | tuple) and all(isinstance(line, str) for line in answer):
        return list(answer)
    hint = "; put it in a list" if isinstance(answer, str) else ""
    raise _wrong("explain", f"a list of lines of text{hint}", answer)


def check_held_out(answer: object, new: Samples) -> HeldOut | None:
    """An answer to ``hold_out``: distinct positions in ``new`` that leave some of each class; None stays None."""
    if answer is None:
        return None
    if not isinstance(answer, HeldOut) or not _is_positions(answer.positions):
        raise _wrong("hold_out", "a HeldOut whose positions are an int64 tensor (n,), or None", answer)
    positions: list[int] = answer.positions.tolist()
    if len(set(positions)) != len(positions) or not all(0 <= p < len(new) for p in positions):
        raise _wrong("hold_out", f"distinct positions from 0 to {len(new) - 1}", positions)
    if not 0 <= answer.share < 1:
        raise _wrong("hold_out", "a share from 0 to below 1", answer.share)
    left = torch.ones(len(new), dtype=torch.bool)
    left[positions] = False
    empty = sorted(set(new.labels.tolist()) - set(new.labels[left].tolist()))
    if empty:
        raise PluginError(f"hold_out leaves no image of the classes {empty} (labels in class order) to train on")
    return answer


def check_network(answer: object) -> Network:
    """An answer to ``expand``: a network."""
    if isinstance(answer, Network):
        return answer
    raise _wrong("expand", "an incrlearn Network, such as incrlearn.network.BranchedNetwork", answer)


def check_rebuilt(answer: object, layout: dict[str, Any]) -> Network:
    """An answer to ``rebuild`` for a layout: a network."""
    if isinstance(answer, Network):
        return answer
    if answer is None:
        raise UnansweredError(
            f"nobody rebuilds a network from the layout {layout!r}: its plug-in must answer 'rebuild'"
        )
    raise _wrong("rebuild", f"an incrlearn Network of the layout {layout!r}, or None", answer)


def check_head(answer: object) -> nn.Module:
    """An answer to ``grow_head``: a module. What it makes of features is tried when the network has it."""
    if isinstance(answer, nn.Module):
        return answer
    raise _wrong("grow_head", "a torch module (B, width) -> (B, K)", answer)


def check_phase(answer: object) -> Phase:
    """An answer to ``phases``: one phase that can be run."""
    if not isinstance(answer, Phase):
        hint = "; a plug-in with several is several rows" if isinstance(answer, list | tuple) else ""
        raise _wrong("phases", f"one Phase, or None{hint}", answer)
    for name, least in (("epochs", 0), ("batch", 1)):
        value = getattr(answer, name)
        whole = _whole(value)
        if whole is None or whole < least:
            raise _wrong("phases", f"a Phase with a whole number of {least} or more as its {name}", value)
    if answer.trains not in ("network", "head"):
        raise _wrong("phases", "a Phase whose trains is 'network' or 'head'", answer.trains)
    temperature: object = answer.temperature
    if not isinstance(temperature, Real) or not float(temperature) > 0:
        raise _wrong("phases", "a Phase with a temperature above 0", answer.temperature)
    return answer


def check_samples(answer: object, seen: int) -> Samples:
    """An answer to ``select_data``: one sample or more of the ``seen`` classes."""
    if not isinstance(answer, Samples):
        raise _wrong("select_data", "Samples, such as new.take(positions) + memory", answer)
    if not _is_positions(answer.indices) or not _is_positions(answer.labels) or len(answer) != len(answer.labels):
        wanted = "Samples with int64 indices (n,) and as many int64 labels"
        raise _wrong("select_data", wanted, (answer.indices, answer.labels))
    if len(answer) == 0:
        raise PluginError("select_data must give one sample at least to train on, got none")
    if int(answer.indices.min()) < 0 or int(answer.labels.min()) < 0 or int(answer.labels.max()) >= seen:
        wanted = f"Samples with indices from 0 and labels from 0 to {seen - 1}"
        raise _wrong("select_data", wanted, (answer.indices.tolist(), answer.labels.tolist()))
    return answer


def check_groups(answer: object) -> list[dict[str, Any]]:
    """An answer to ``param_groups``: groups as torch's optimizers take them."""
    if isinstance(answer, list | tuple) and all(isinstance(group, dict) and "params" in group for group in answer):
        return list(answer)
    raise _wrong("param_groups", 'a list of groups, such as [{"params": [...], "lr": 0.1}]', answer)


def check_optimizer(answer: object, phase: str) -> tuple[Optimizer, LRScheduler]:
    """An answer to ``make_optimizer`` for the phase of that name: an optimizer and its schedule."""
    if answer is None:
        raise UnansweredError(f"nobody makes an optimizer for phase '{phase}': its plug-in must")
    if isinstance(answer, tuple | list) and len(answer) == 2:
        optimizer, schedule = answer
        stepped_alone = isinstance(schedule, LRScheduler) and not isinstance(schedule, ReduceLROnPlateau)
        if isinstance(optimizer, Optimizer) and stepped_alone:
            return optimizer, schedule
    wanted = "a pair (optimizer, schedule) of torch.optim, the schedule one that is stepped without a number"
    raise _wrong("make_optimizer", f"{wanted}; torch's LambdaLR(optimizer, lambda epoch: 1.0) is none at all", answer)


def check_loss_terms(answer: object) -> list[LossTerm]:
    """An answer to ``loss_terms``: terms with a floating scalar each, and a scalar weight."""
    # Called every batch: tuples of types, since a union would be made anew each time.
    if not isinstance(answer, (list, tuple)):
        hint = "; put it in a list" if isinstance(answer, LossTerm) else ""
        raise _wrong("loss_terms", f"a list of LossTerm, such as [LossTerm(self.name, loss)]{hint}", answer)
    for term in answer:
        if not isinstance(term, LossTerm):
            raise _wrong("loss_terms", "a list of LossTerm, such as [LossTerm(self.name, loss)]", answer)
        value, weight = term.value, term.weight
        if not isinstance(term.name, str):
            raise _wrong("loss_terms", "a LossTerm with its name first, LossTerm(self.name, loss)", term.name)
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            hint = "; take its mean" if isinstance(value, Tensor) and value.ndim else ""
            raise _wrong("loss_terms", f"a LossTerm '{term.name}' whose value is a floating scalar tensor{hint}", value)
        if isinstance(weight, (float, int, Real)):
            continue
        if not isinstance(weight, Tensor) or weight.ndim:
            wanted = f"a LossTerm '{term.name}' whose weight is a number or a scalar tensor"
            raise _wrong("loss_terms", wanted, weight)
        if weight.requires_grad:
            wanted = f"a LossTerm '{term.name}' whose weight does not learn, for it would learn to be 0: detach it"
            raise _wrong("loss_terms", wanted, weight)
    return list(answer)


def check_learning_terms(answer: object, out: Output) -> list[LossTerm]:
    """`check_loss_terms`, and each term can change the weights; for now and then, since it may wait for the device.

    It waits only for a term without a gradient, whose value is then read: 0 says that there is nothing to do, as for a
    batch without an image of an old class, and so does a weight of 0. Where the features have no gradient either, as
    where the head alone is trained, a term may rightly have none.

    Args:
        answer: a plug-in's.
        out: what it was asked about.
    """
    terms = check_loss_terms(answer)
    if not any(part.requires_grad for part in out.parts):
        return terms
    for term in terms:
        if not term.value.requires_grad and float(term.value) != 0 and float(term.weight) != 0:
            wanted = f"a LossTerm '{term.name}' whose value has a gradient: without one it changes nothing in training"
            instead = (
                "compute it from out.logits, out.features or the weights without detach() and torch.no_grad(); "
                "where it is there to be read alone, give it weight 0, and where it has nothing to do, answer []"
            )
            found = f"{float(term.value):g} without a gradient"
            raise PluginError(f"loss_terms must give {wanted}; got {found}; {instead}")
    return terms


def check_pruned(answer: object) -> dict[str, Any]:
    """An answer to ``prune``: plain values by name."""
    if isinstance(answer, dict) and _is_plain(answer):
        return answer
    raise _wrong("prune", "a dict of plain values (numbers, text, lists and dicts of them), or None", answer)


def check_quota(answer: object, seen: int) -> tuple[int, ...] | None:
    """An answer to ``memory_quota`` as one number for each of the ``seen`` classes; None stays None."""
    if answer is None:
        return None
    numbers = answer if isinstance(answer, Sequence) else (answer,) * seen
    whole = [number for number in map(_whole, numbers) if number is not None and number >= 0]
    if len(numbers) == len(whole) == seen:
        return tuple(whole)
    wanted = f"one number of exemplars, 0 or more, for all classes, or {seen} of them, one for each class seen, or None"
    raise _wrong("memory_quota", wanted, answer)


def check_ranking(answer: object, quota: int, images: int) -> Tensor:
    """An answer to ``rank_exemplars``: as many positions in ``images`` images as the quota asks for and there are."""
    wanted, found = min(quota, images), described(answer)
    if isinstance(answer, Tensor) and answer.ndim == 1 and not answer.is_floating_point():
        positions: list[int] = answer.tolist()
        outside = [position for position in positions if not 0 <= position < images]
        if len(positions) == len(set(positions)) == wanted and not outside:
            return torch.tensor(positions, dtype=torch.int64)
        if len(positions) > len(set(positions)):
            found += f", in which {max(positions, key=positions.count)} stands more than once"
        if outside:
            found += f", in which {outside[0]} is no position"
    expected = f"{wanted} distinct positions from 0 to {images - 1} as an int64 tensor"
    raise PluginError(f"rank_exemplars must give {expected}; got {found}")


def check_scores(answer: object, logits: Tensor) -> Tensor:
    """An answer to ``scores``: floating, one number for each image and class."""
    if isinstance(answer, Tensor) and answer.shape == logits.shape and answer.is_floating_point():
        return answer
    raise _wrong("scores", f"a floating tensor (B, K) of {tuple(logits.shape)}", answer)


def check_metrics(answer: object, taken: Collection[str] = ()) -> dict[str, float]:
    """An answer to ``metrics`` with plain numbers, none of them of a name that is ``taken``."""
    numbers = None
    try:
        # numpy's and torch's scalars are no plain values, which a checkpoint must hold.
        if isinstance(answer, Mapping):
            numbers = {str(name): float(value) for name, value in answer.items()}
    except (TypeError, ValueError, RuntimeError):
        pass
    if numbers is not None:
        if both := sorted(numbers.keys() & set(taken)):
            raise PluginError(f"metrics must give numbers of names that the engine has not; got {both}; rename them")
        return numbers
    raise _wrong("metrics", 'a dict of numbers by name, such as {"spread": 0.5}', answer)


def described(value: object) -> str:
    """A value in a few words: a tensor by its shape, anything else by its kind and, if it is short, as it is."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, nn.Module | Optimizer | LRScheduler):
        return f"a {type(value).__name__}"
    if isinstance(value, list | tuple) and not all(isinstance(one, int | float | str) for one in value):
        some = ", ".join(described(one) for one in value[:3]) + (", ..." if len(value) > 3 else "")
        return f"a {type(value).__name__} of {some}"
    if value is None or isinstance(value, int | float | str | list | tuple):
        return _shortened(repr(value))
    return _shortened(f"dict {value!r}") if isinstance(value, dict) else f"a {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _wrong(hook: str, expected: str, answer: object) -> PluginError:
    return PluginError(f"{hook} must give {expected}; got {described(answer)}")


def _whole(value: Any) -> int | None:  # noqa: ANN401 (whatever a plug-in gives)
    """A whole number, Python's or numpy's; None for anything else."""
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def _is_positions(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 1 and value.dtype == torch.int64


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
