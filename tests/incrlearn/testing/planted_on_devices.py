"""Plug-ins that wait for the device or leave tensors where they must not be, beside such as do neither."""

from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.utils.checkpoint import checkpoint

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl
from incrlearn.network import LinearHead
from tests.incrlearn.testing.planted import Sound


class WaitsForANumber(Sound):
    """Asks for a number in every batch."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        loss = cross_entropy(out.logits, batch.labels)
        return loss / max(1.0, loss.item())


class WaitsForASize(Sound):
    """Picks with a mask, whose number of hits nobody knows beforehand."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels) + 0 * out.logits[batch.labels > 0].sum()


class WaitsForAList(Sound):
    """Counts the images of a class on the host."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels) * batch.labels.tolist().count(0)


class Copies(Sound):
    """Lets numpy, and whoever reads the terminal, have the labels."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        share = float(batch.labels.to("cpu").cpu().numpy().mean()) / max(1, len(f"{batch.labels}"))
        return cross_entropy(out.logits, batch.labels) * min(1.0, share)


class ComparesWithOneHot(Sound):
    """Nobody waits for labels of which it is known how many there may be."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        wanted = one_hot(batch.labels, out.logits.shape[1])
        return (out.logits.softmax(dim=1) - wanted).square().mean()


class LeavesATensorOnTheHost(Sound):
    """Makes a weight for each class, and not where the logits are."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return (out.logits * torch.ones(out.logits.shape[1])).square().mean()


class KeepsATensorOnTheHost(Sound):
    """Made once, at the beginning of a task; found where it is used."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.scales = torch.ones(state.task.seen)

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(self.scales * out.logits, batch.labels)


class DrawsOnTheDevice(Sound):
    """Draws there with the generator that it was given, which is the CPU's."""

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        generator = state.generator(f"{self.name}/{state.epoch}")
        noise = 0.01 * torch.randn(out.logits.shape, generator=generator, device=state.device)
        return [LossTerm(self.name, cross_entropy(out.logits + noise, batch.labels))]


class ReadsByNumpy(Sound):
    """Lets numpy read weights that lie on the device."""

    @hookimpl
    def task_end(self, state: RunState) -> None:
        float(next(state.network.parameters()).detach().numpy().mean())


class StaysOnTheDevice(Sound):
    """Follows the tensors that it is given, and brings to the host what the host is to read."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.scales = torch.ones(state.task.seen, device=state.device)
        self.order = torch.randperm(state.task.seen, generator=state.generator(self.name))
        self.moved = self.order.to(state.device)

    def value(self, batch: Batch, out: Output) -> Tensor:
        kinds = torch.arange(out.logits.shape[1], device=out.logits.device)
        own = (batch.labels[:, None] == kinds).to(out.logits)
        # An index may lie on the host, and a number anywhere.
        shuffled = out.logits[:, self.order] + out.logits.index_select(1, self.moved) + torch.tensor(1.0)
        return (self.scales * shuffled * own * out.logits.new_ones(out.logits.shape[1])).mean()

    @hookimpl
    def task_end(self, state: RunState) -> None:
        float(next(state.network.parameters()).detach().cpu().numpy().mean())


class HostScale(LinearHead):
    """A linear classifier with a scale that no ``.to`` moves, being no buffer."""

    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__(width, classes, False, generator)
        self.scale = torch.ones(classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * super().forward(features)


class HeadWithAHostTensor(Plugin):
    """Its module is called when none of its hooks is under way."""

    kind = "head"

    @hookimpl
    def grow_head(self, state: RunState, width: int) -> nn.Module:
        return HostScale(width, state.task.seen, state.generator(self.name))


class ComputesAgain(Sound):
    """Lets go of what lies between logits and loss, and computes it again for the gradients."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        loss = checkpoint(cross_entropy, out.logits, batch.labels, use_reentrant=False)
        assert isinstance(loss, Tensor)
        return loss


class NamesItsDevice(Sound):
    """Reads a tensor with a library that knows CPUs and GPUs by their usual names only."""

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        with TemporaryDirectory() as folder:
            save_file({"scale": torch.ones(())}, f"{folder}/scale.safetensors")
            self.scale = load_file(f"{folder}/scale.safetensors", device=str(state.device))["scale"]

    def value(self, batch: Batch, out: Output) -> Tensor:
        return self.scale * cross_entropy(out.logits, batch.labels)
