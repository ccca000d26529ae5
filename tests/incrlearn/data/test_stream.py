"""Batches from files: transforms, workers, unreadable images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from incrlearn.data import Augment, FileImages, Source, Split, make_loader
from incrlearn.data.loader import StreamLoader
from incrlearn.errors import DataError
from incrlearn.types import Batch, Samples

CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Python 3.12 warns of any fork beside threads, which PyTorch always has; its workers are made for it.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Nine images of different sizes."""
    rng = np.random.default_rng(0)
    made = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(made):
        Image.fromarray(rng.integers(0, 256, (20 + 3 * number, 41 - 2 * number, 3), dtype=np.uint8)).save(path)
    return made


def loader(paths: list[Path], workers: int = 0, augment: Augment | None = None) -> StreamLoader:
    split = Split(FileImages(tuple(paths)), np.zeros(len(paths), dtype=np.int64))
    chosen = augment or Augment(flip=True, brightness=0.2, resized_crop=(0.3, 1.0))
    source = Source("files", ("only",), split, split, {}, chosen, 3, 28, MEAN, STD, workers=workers)
    made = make_loader(source, split, CPU)
    assert isinstance(made, StreamLoader)
    return made


def numbered(count: int) -> Samples:
    return Samples(torch.arange(count), torch.arange(count))


def epoch(made: StreamLoader, samples: Samples, order: int = 1, augment: int = 2) -> list[Batch]:
    generators = (torch.Generator().manual_seed(seed) for seed in (order, augment))
    return list(made.train(samples, 4, *generators))


def images_of(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.images for batch in batches])


def test_evaluation_equals_torchvisions_usual_transform(paths: list[Path]) -> None:
    usual = transforms.Compose(
        [transforms.Resize(32), transforms.CenterCrop(28), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    wanted = torch.stack([usual(Image.open(path).convert("RGB")) for path in paths])
    batches = list(loader(paths).plain(numbered(9), 4))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert torch.equal(images_of(batches), wanted)
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(9))
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in batches)


def test_training_equals_torchvisions_transform_under_the_seed_of_the_sample(paths: list[Path]) -> None:
    usual = transforms.Compose(
        [
            transforms.RandomResizedCrop(28, scale=(0.3, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=0.2),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    seeds = torch.randint(2**63 - 1, (8,), generator=torch.Generator().manual_seed(2)).tolist()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1)).tolist()
    wanted = []
    for position, seed in zip(order, seeds, strict=True):
        torch.manual_seed(seed)
        wanted.append(usual(Image.open(paths[position]).convert("RGB")))
    batches = epoch(loader(paths), numbered(8))
    assert torch.cat([batch.labels for batch in batches]).tolist() == order
    assert torch.equal(images_of(batches), torch.stack(wanted))


def test_workers_give_the_same_bits_as_none_in_every_pass(paths: list[Path]) -> None:
    alone, helped = loader(paths), loader(paths, workers=2)
    for augment in (2, 3):
        assert torch.equal(
            images_of(epoch(alone, numbered(9), augment=augment)),
            images_of(epoch(helped, numbered(9), augment=augment)),
        )
        few = Samples(torch.tensor([5, 2]), torch.tensor([0, 0]))
        assert torch.equal(images_of(list(alone.plain(few, 1))), images_of(list(helped.plain(few, 1))))


def test_a_pass_after_one_broken_off_starts_afresh(paths: list[Path]) -> None:
    helped = loader(paths, workers=2)
    next(helped.plain(numbered(9), 1))
    assert [int(batch.labels) for batch in helped.plain(numbered(9), 1)] == list(range(9))


def test_two_passes_at_once_are_refused(paths: list[Path]) -> None:
    made = loader(paths)
    first, second = made.plain(numbered(9), 2), made.plain(numbered(9), 2)
    next(first)
    next(second)
    with pytest.raises(RuntimeError, match="another pass"):
        next(first)


def test_each_visit_of_an_image_has_its_own_draw(paths: list[Path]) -> None:
    same = Samples(torch.zeros(8, dtype=torch.int64), torch.zeros(8, dtype=torch.int64))
    assert len(np.unique(images_of(epoch(loader(paths), same)).flatten(1).numpy(), axis=0)) == 8


def test_epoch_without_augmentation_holds_the_images_of_evaluation_in_its_own_order(paths: list[Path]) -> None:
    made = loader(paths)
    plain = images_of(list(made.plain(numbered(9), 9)))
    batches = list(made.train(numbered(9), 4, torch.Generator().manual_seed(1), None))
    order = torch.cat([batch.labels for batch in batches])
    assert order.tolist() == torch.cat([batch.labels for batch in epoch(made, numbered(9))]).tolist()
    assert torch.equal(images_of(batches), plain[order])


def test_training_batches_are_of_even_size(paths: list[Path]) -> None:
    assert [len(batch) for batch in epoch(loader(paths), numbered(9))] == [3, 3, 3]


def test_without_resized_crop_files_are_cut_as_in_evaluation_and_padded(paths: list[Path]) -> None:
    plain = images_of(list(loader(paths).plain(numbered(4), 4)))
    nothing = epoch(loader(paths, augment=Augment()), numbered(4))
    assert torch.equal(images_of(nothing), plain[torch.cat([batch.labels for batch in nothing])])
    padded = images_of(epoch(loader(paths, augment=Augment(padding=4)), numbered(4)))
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    edges = torch.cat([padded[:, :, edge, :] for edge in (0, -1)] + [padded[:, :, :, edge] for edge in (0, -1)], dim=2)
    assert bool(((edges - black[:, None]).abs() < 1e-6).all(dim=1).any())


def test_global_random_state_is_not_touched(paths: list[Path]) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    epoch(loader(paths), numbered(9))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_image_is_named_and_shows_no_traceback(paths: list[Path], workers: int) -> None:
    paths[5].write_bytes(paths[5].read_bytes()[:200])
    paths[6].unlink()
    with pytest.raises(DataError) as caught:
        list(loader(paths, workers).plain(numbered(9), 4))
    lines = str(caught.value).splitlines()
    assert lines[0] == "data set 'files':"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [str(paths[5]), str(paths[6])]
