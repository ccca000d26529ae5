"""Which channels hang together, on networks small enough to say by hand."""

import copy

import torch
from torch import Tensor, nn

from incrlearn.network.depgraph import Member, RootGroup, root_groups, take_out
from incrlearn.types import Backbone

IMAGES = (3, 8, 8)


class Residual(nn.Module):
    """A stem of 8 channels, a block of 6 hidden ones around it, and a last convolution to 5."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 6, 3, padding=1)
        self.outer = nn.Conv2d(6, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.outer(self.inner(stream).relu())
        return self.last(self.depthwise(stream)).mean((2, 3))


def residual() -> Backbone:
    return Backbone(Residual(), 5)


def group_with(groups: list[RootGroup], name: str, role: str) -> RootGroup:
    """The one group in which a layer has a role."""
    (found,) = [g for g in groups if any(m.name == f"model.{name}" and m.role == role for m in g.members)]
    return found


def roles(group: RootGroup) -> set[tuple[str, str]]:
    return {(m.name.removeprefix("model."), m.role) for m in group.members if m.role in ("reads", "makes")}


def test_channels_joined_by_an_addition_are_one_group_with_their_norm_and_depthwise_convolution() -> None:
    groups = root_groups(residual(), IMAGES)
    assert len(groups) == 3
    stream = group_with(groups, "inner", "reads")
    makes = {("stem", "makes"), ("norm", "makes"), ("outer", "makes"), ("depthwise", "makes")}
    assert roles(stream) == makes | {("inner", "reads"), ("last", "reads")}
    assert stream.channels == 8


def test_hidden_channels_are_a_group_of_their_own() -> None:
    groups = root_groups(residual(), IMAGES)
    hidden = group_with(groups, "inner", "makes")
    assert roles(hidden) == {("inner", "makes"), ("outer", "reads")}
    assert (hidden.root, hidden.channels) == ("model.inner", 6)


def test_features_are_the_output_of_the_group_that_makes_them() -> None:
    groups = root_groups(residual(), IMAGES)
    features = group_with(groups, "last", "makes")
    (output,) = [member for member in features.members if member.role == "output"]
    assert output.channels == output.roots == (0, 1, 2, 3, 4)
    for group in groups:
        assert group is features or all(member.role != "output" for member in group.members)


def test_flattened_pixels_hang_on_the_channel_they_come_from() -> None:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 2 * 2, 5)]
    groups = root_groups(Backbone(nn.Sequential(*layers), 5), IMAGES)
    (reader,) = [m for g in groups if g.root == "model.0" for m in g.members if m.name == "model.4"]
    assert isinstance(reader, Member)
    hangs_on = dict(zip(reader.channels, reader.roots, strict=True))
    assert hangs_on == {pixel: pixel // 4 for pixel in range(16)}


def test_concatenated_channels_keep_their_places() -> None:
    class Concat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)
            self.last = nn.Conv2d(6, 5, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.last(torch.cat([self.left(images), self.right(images)], dim=1)).mean((2, 3))

    groups = root_groups(Backbone(Concat(), 5), IMAGES)
    for name, first, count in (("left", 0, 4), ("right", 4, 2)):
        (reader,) = [m for m in group_with(groups, name, "makes").members if m.role == "reads"]
        assert dict(zip(reader.channels, reader.roots, strict=True)) == {first + k: k for k in range(count)}


def test_tracing_leaves_weights_statistics_modes_and_hooks_as_they_were() -> None:
    backbone = residual().train()
    backbone.model.inner.eval()
    backbone.model.outer.requires_grad_(False)
    before = copy.deepcopy(backbone)
    root_groups(backbone, IMAGES)
    kept, now = before.state_dict(), backbone.state_dict()
    assert all(torch.equal(now[name], kept[name]) for name in kept)
    assert [m.training for m in backbone.modules()] == [m.training for m in before.modules()]
    assert [p.requires_grad for p in backbone.parameters()] == [p.requires_grad for p in before.parameters()]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in backbone.modules())


def test_taking_out_makes_every_layer_of_the_group_smaller() -> None:
    backbone = residual()
    model = backbone.model
    whole = copy.deepcopy(model)
    stream = group_with(root_groups(backbone, IMAGES), "inner", "reads")
    take_out(backbone, IMAGES, {stream.root: [0, 5], "model.inner": [2]})
    kept, hidden = [1, 2, 3, 4, 6, 7], [0, 1, 3, 4, 5]
    assert torch.equal(model.stem.weight, whole.stem.weight[kept])
    assert torch.equal(model.norm.running_var, whole.norm.running_var[kept])
    assert torch.equal(model.inner.weight, whole.inner.weight[hidden][:, kept])
    assert torch.equal(model.inner.bias, whole.inner.bias[hidden])
    assert torch.equal(model.outer.weight, whole.outer.weight[kept][:, hidden])
    assert torch.equal(model.depthwise.weight, whole.depthwise.weight[kept])
    assert model.depthwise.groups == 6
    assert torch.equal(model.last.weight, whole.last.weight[:, kept])
    assert backbone(torch.zeros(1, *IMAGES)).shape == (1, 5)


def test_taking_out_of_a_frozen_backbone_works_and_leaves_it_frozen() -> None:
    backbone = residual()
    stream = group_with(root_groups(backbone, IMAGES), "inner", "reads")
    backbone.requires_grad_(False)
    backbone.model.inner.requires_grad_(True)
    take_out(backbone, IMAGES, {stream.root: [3]})
    assert backbone.model.inner.in_channels == backbone.model.stem.out_channels == 7
    assert {n for n, p in backbone.named_parameters() if p.requires_grad} == {"model.inner.weight", "model.inner.bias"}
