"""``incrlearn check`` and ``incrlearn explain``: what they tell of a recipe before it trains."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def test_check_prints_tasks_sizes_and_backbone(incrlearn: Any) -> None:
    outcome = incrlearn("check", "small.yaml")
    assert outcome.code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in outcome.out.splitlines() if line[:1] == "│"]
    # 1,797 digits, every fifth of a class for the test: 178, 182, 177 and 183 images of 0, 1, 2 and 3.
    train = [178 - 35, 182 - 36, 177 - 35, 183 - 36]
    assert rows == [
        ["1", "2", "2", str(train[0] + train[1]), "4", "8", "71"],
        ["2", "2", "4", str(train[2] + train[3]), "2", "8", "142"],
    ]
    assert "backbone: resnet18, 0.00 million parameters" in outcome.out


def test_backbone_without_removable_channels_is_refused_at_its_line(incrlearn: Any, folder: Path) -> None:
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins:\n  pruning: {use: channel_mask, keep: 0.5}\n")
    options = ("--set", "backbone.name=resnet50_gn", "--set", "backbone.options={layers: [1, 1, 1, 1]}")
    outcome = incrlearn("check", "child.yaml", *options)
    assert outcome.code == 2
    assert "line 3: plugins.pruning: no channel of this backbone can be removed exactly" in outcome.err
    assert "Traceback" not in outcome.err


def test_explain_tells_who_answers_in_the_order_of_the_loop(incrlearn: Any) -> None:
    outcome = incrlearn("explain", "small.yaml", "--set", "plugins.balance=null")
    assert outcome.code == 0
    answers = [[cell.strip() for cell in line.split("│")[1:-1]] for line in outcome.out.splitlines() if line[:1] == "│"]
    assert answers[0] == ["expand", "network (expandable)"]
    assert ["loss_terms", "loss (cross_entropy), auxiliary"] in answers
    assert ["scores", "core"] in answers
    hooks = [hook for hook, _ in answers]
    assert hooks.index("grow_head") < hooks.index("phases") < hooks.index("loss_terms") < hooks.index("memory_quota")
    assert "answered by nobody: " in outcome.out


def test_explain_names_a_plugin_from_a_file(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from incrlearn import Plugin, hookimpl\nclass Mine(Plugin):\n    @hookimpl\n"
        "    def task_end(self, state):\n        pass\n"
    )
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {mine: './mine.py:Mine'}\n")
    outcome = incrlearn("explain", "child.yaml")
    assert outcome.code == 0
    assert "│ task_end       │ mine (mine.py:Mine) " in outcome.out


def test_explain_tells_which_channels_have_gates_and_which_have_none(incrlearn: Any, folder: Path) -> None:
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {pruning: {use: channel_mask, keep: 0.5}}\n")
    outcome = incrlearn("explain", "child.yaml")
    assert outcome.code == 0
    notes = outcome.out.partition("what is done with the backbone, resnet18:\n")[2].splitlines()
    assert notes[0] == "  64 gates: model.conv1"
    assert "  4 gates: model.layer2.0.conv2, model.layer2.0.downsample.0" in notes
    attention = {"name": "vit_tiny_patch16_224", "stem": "default"}
    options = "backbone.options={img_size: 8, patch_size: 4, depth: 1}"
    sets = [item for key, value in attention.items() for item in ("--set", f"backbone.{key}={value}")]
    outcome = incrlearn("explain", "child.yaml", *sets, "--set", options)
    assert "  3 gates over 576 channels: model.blocks.0.attn.qkv" in outcome.out
    assert "no gates, 192 channels: " in outcome.out
    assert "a layer norm runs over them" in outcome.out


def test_explain_without_the_data_still_tells_the_hooks(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("explain", "der_imagenet100_b0", "--data", str(folder))
    assert outcome.code == 0
    assert "│ prune          │ pruning (channel_mask)" in outcome.out
    assert "what is done with the backbone shows only beside the data: " in outcome.out


def lay_out_pets(root: Path) -> Path:
    """``root/pets`` with two classes of three training and two test images, one JPEG of noise copied about."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            folder = root / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(noise).save(folder / f"{number}.jpg", quality=95)
    return root / "pets"


PETS = ["--set", "data={use: image_folder, folder: pets, size: 32, workers: 0, classes: 2, tasks: 2, order: natural}"]


def test_check_opens_the_images_that_a_run_would_read_one_by_one(incrlearn: Any, folder: Path) -> None:
    pets = lay_out_pets(folder / "data")
    outcome = incrlearn("check", "small.yaml", *PETS)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("images: reading all 10\nimages: every one of them can be read\n")
    whole = (pets / "train" / "dog" / "2.jpg").read_bytes()
    (pets / "train" / "dog" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (pets / "test" / "dog" / "1.jpg").write_bytes(b"no image")
    outcome = incrlearn("check", "small.yaml", *PETS)
    assert outcome.code == 2
    title, *told = outcome.err.splitlines()
    assert title == "error: 2 of the 10 images cannot be read:"
    assert [line.partition(": not a readable image")[0] for line in told] == [
        "  data/pets/train/dog/2.jpg",
        "  data/pets/test/dog/1.jpg",
    ]


def test_check_opens_a_part_of_many_images(incrlearn: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out_pets(folder / "data")
    monkeypatch.setattr("incrlearn.cli.inspect._MOST_IMAGES", 9)
    monkeypatch.setattr("incrlearn.cli.inspect._PART", 4)
    outcome = incrlearn("check", "small.yaml", *PETS)
    assert outcome.out.endswith("images: reading 4 of 10, evenly spread\nimages: every one of them can be read\n")


def test_check_opens_no_images_that_are_in_memory(incrlearn: Any) -> None:
    assert "images:" not in incrlearn("check", "small.yaml").out
