"""Any timm model as an extractor."""

import pytest
import torch

from incrlearn.errors import RecipeError
from incrlearn.network import build_backbone, check_backbone
from incrlearn.recipe import BackboneOptions


def options(name: str, stem: str = "default", **settings: object) -> BackboneOptions:
    return BackboneOptions(name=name, stem=stem, options=settings)


def test_resnet18_with_cifar_stem_is_the_papers() -> None:
    backbone = build_backbone(options("resnet18", "cifar"), channels=3, seed=1)
    # 11.17 M without the classifier: 11,689,512 of torchvision's, less the classifier (513,000) and the 7x7 stem,
    # plus the 3x3 stem.
    assert sum(p.numel() for p in backbone.parameters()) == 11_689_512 - 513_000 - 64 * 3 * 49 + 64 * 3 * 9
    assert backbone.width == 512
    maps = backbone.model.forward_features(torch.zeros(1, 3, 32, 32))
    assert maps.shape == (1, 512, 4, 4)
    assert [info["reduction"] for info in backbone.model.feature_info] == [1, 1, 2, 4, 8]


def test_last_norm_of_each_residual_block_starts_at_zero() -> None:
    backbone = build_backbone(options("resnet18", "cifar"), channels=3, seed=1)
    last_norms = [
        block.bn2.weight for name in ("layer1", "layer2", "layer3", "layer4") for block in getattr(backbone.model, name)
    ]
    assert len(last_norms) == 8
    assert all(bool((weight == 0).all()) for weight in last_norms)


def test_same_seed_same_weights_and_global_generator_untouched() -> None:
    small = options("resnet18", "cifar", layers=[1, 1, 1, 1], channels=[4, 4, 4, 4])
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first, again, other = (build_backbone(small, 1, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.conv1.weight"], other["model.conv1.weight"])


STEMS = [
    "resnet18",
    "resnet50d",
    "resnetv2_18",
    "regnety_002",
    "mobilenetv3_small_050",
    "efficientnet_b0",
    "densenet121",
]


@pytest.mark.parametrize("name", STEMS)
def test_cifar_stem_keeps_the_resolution(name: str) -> None:
    plain = build_backbone(options(name), 3, 1).model.eval()
    backbone = build_backbone(options(name, "cifar"), 3, 1)
    size = 64
    with torch.no_grad():
        before = plain.forward_features(torch.zeros(1, 3, size, size)).shape[-1]
        after = backbone.model.eval().forward_features(torch.zeros(1, 3, size, size)).shape[-1]
        out = backbone(torch.zeros(2, 3, size, size))
    pooled = name.startswith(("resnet", "densenet"))
    assert after == before * (4 if pooled else 2)
    assert out.shape == (2, backbone.width)
    check_backbone(backbone, options(name, "cifar"), 3, 32)


@pytest.mark.parametrize(("name", "hint"), [("convnext_atto", "patch_size: 2"), ("vit_tiny_patch16_224", "img_size")])
def test_patch_embedding_is_no_stem(name: str, hint: str) -> None:
    with pytest.raises(RecipeError, match="has no stem to replace") as caught:
        build_backbone(options(name, "cifar"), 3, 1)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("convnext_atto", {"patch_size": 2}), ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 4})],
)
def test_patch_models_take_small_images_by_their_options(name: str, settings: dict[str, int]) -> None:
    backbone = build_backbone(options(name, **settings), 3, 1)
    check_backbone(backbone, options(name, **settings), 3, 32)


def test_unknown_model_is_named_with_a_suggestion() -> None:
    with pytest.raises(RecipeError, match=r"no model named 'resnet81'; did you mean"):
        build_backbone(options("resnet81"), 3, 1)


def test_unknown_model_option_is_named() -> None:
    with pytest.raises(RecipeError, match=r"backbone.options: .*chanels"):
        build_backbone(options("resnet18", chanels=[1, 2, 3, 4]), 3, 1)


@pytest.mark.parametrize("signed", [False, True])
def test_stages_that_the_model_cannot_do_without_are_told_before_a_run(signed: bool) -> None:
    options = BackboneOptions(name="resnet18", signed=signed, options={"layers": [1] * 3, "channels": [4, 6, 8]})
    backbone = build_backbone(options, 3, seed=1)
    with pytest.raises(RecipeError, match=r"backbone\.options: 'resnet18' does not work with .*layer4"):
        check_backbone(backbone, options, 3, 32)


def test_images_of_a_size_the_model_refuses_are_found_before_a_run() -> None:
    wrong = options("vit_tiny_patch16_224")
    with pytest.raises(RecipeError, match="does not take images of 32x32"):
        check_backbone(build_backbone(wrong, 3, 1), wrong, 3, 32)
