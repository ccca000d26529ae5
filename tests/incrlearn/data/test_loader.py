"""Batches from memory: order, draws, sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.data import ArrayImages, Augment, Source, Split, batches_in_epoch, make_loader
from incrlearn.types import Batch, Samples

CPU = torch.device("cpu")


def source(count: int = 50, augment: Augment = Augment(padding=2, flip=True, brightness=0.3)) -> Source:  # noqa: B008
    """Images of noise; the first pixel of image i tells i."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    split = Split(ArrayImages(pixels), np.arange(count, dtype=np.int64) % 5)
    return Source("noise", tuple("abcde"), split, split, {}, augment, 3, 6, (0.0,) * 3, (1.0,) * 3)


def all_samples(made: Source) -> Samples:
    return Samples(torch.arange(len(made.train)), torch.from_numpy(made.train.labels))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epoch(made: Source, samples: Samples, batch: int = 16, order: int = 1, augment: int = 2) -> list[Batch]:
    loader = make_loader(made, made.train, CPU)
    return list(loader.train(samples, batch, generator(order), generator(augment)))


def images_of(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.images for batch in batches])


def who(batches: list[Batch]) -> list[int]:
    """Which images they are, where nothing is augmented."""
    return [round(float(value) * 255) for value in images_of(batches)[:, 0, 0, 0]]


def test_plain_batches_hold_the_images_in_order_normalised() -> None:
    made = source()
    samples = Samples(torch.tensor([7, 3, 3, 49, 0]), torch.tensor([2, 1, 1, 0, 4]))
    batches = list(make_loader(made, made.train, CPU).plain(samples, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert who(batches) == [7, 3, 3, 49, 0]
    assert torch.cat([batch.labels for batch in batches]).tolist() == [2, 1, 1, 0, 4]
    assert isinstance(made.train.images, ArrayImages)
    wanted = torch.from_numpy(made.train.images.pixels[[7, 3, 3, 49, 0]]).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(images_of(batches), wanted)


def test_training_batches_are_float_and_channels_last() -> None:
    for batch in epoch(source(), all_samples(source())):
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_holds_every_sample_once_with_its_label() -> None:
    made = source(augment=Augment())
    samples = Samples(torch.arange(10, 50), torch.arange(10, 50) * 3)
    batches = epoch(made, samples)
    assert sorted(who(batches)) == list(range(10, 50))
    assert torch.cat([batch.labels for batch in batches]).tolist() == [3 * i for i in who(batches)]


def test_order_follows_its_own_generator_and_no_other() -> None:
    made = source(augment=Augment(padding=2, flip=True, brightness=0.3))
    labels = Samples(torch.arange(50), torch.arange(50))

    def visited(order: int, augment: int) -> list[int]:
        return torch.cat([batch.labels for batch in epoch(made, labels, order=order, augment=augment)]).tolist()

    assert visited(1, 2) == visited(1, 3) == torch.randperm(50, generator=generator(1)).tolist()
    assert visited(1, 2) != visited(4, 2)


def test_epoch_without_augmentation_holds_the_images_of_evaluation_in_its_own_order() -> None:
    made = source(augment=Augment(padding=2, flip=True, brightness=0.3))
    labels = Samples(torch.arange(50), torch.arange(50))
    loader = make_loader(made, made.train, CPU)
    batches = list(loader.train(labels, 16, generator(1), None))
    order = torch.cat([batch.labels for batch in batches])
    assert order.tolist() == torch.cat([batch.labels for batch in epoch(made, labels)]).tolist()
    assert torch.equal(images_of(batches), images_of(list(loader.plain(labels, 16)))[order])


def test_augmentation_does_not_change_the_order() -> None:
    labels = Samples(torch.arange(50), torch.arange(50))
    orders = [
        torch.cat([batch.labels for batch in epoch(source(augment=augment), labels)]).tolist()
        for augment in (Augment(), Augment(padding=2, flip=True, brightness=0.5))
    ]
    assert orders[0] == orders[1]


def test_same_generators_give_the_same_bits_and_others_do_not() -> None:
    made = source()
    samples = all_samples(made)
    first = images_of(epoch(made, samples))
    assert torch.equal(first, images_of(epoch(made, samples)))
    assert not torch.equal(first, images_of(epoch(made, samples, augment=9)))


def test_each_sample_has_its_own_draw() -> None:
    made = source(augment=Augment(padding=2, flip=True, brightness=0.3))
    same = Samples(torch.zeros(40, dtype=torch.int64), torch.zeros(40, dtype=torch.int64))
    (batch,) = epoch(made, same, batch=40)
    # Brightness is continuous, so two equal images would mean a shared draw.
    assert len(np.unique(batch.images.flatten(1).numpy(), axis=0)) == 40


def test_global_random_state_is_not_touched() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    epoch(source(), all_samples(source()))
    assert torch.equal(before, torch.get_rng_state())


@given(samples=st.integers(0, 70), batch=st.integers(1, 20))
def test_an_epoch_has_every_image_in_even_batches_as_many_as_announced(samples: int, batch: int) -> None:
    made = source(70, Augment())
    batches = epoch(made, all_samples(made).take(torch.arange(samples)), batch)
    assert len(batches) == batches_in_epoch(samples, batch)
    sizes = [len(each) for each in batches]
    assert sum(sizes) == samples
    if samples:
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= (3 if batch == 2 else batch)
        # Batch norm cannot train on one image.
        assert min(sizes) >= min(2, samples, batch)


@pytest.mark.parametrize(
    ("samples", "batch", "batches"),
    [(0, 8, 0), (1, 8, 1), (8, 8, 1), (9, 8, 2), (10, 8, 2), (17, 8, 3), (3, 1, 3), (3, 2, 1), (5, 2, 2), (6, 2, 3)],
)
def test_the_number_of_batches_is_rounded_up(samples: int, batch: int, batches: int) -> None:
    assert batches_in_epoch(samples, batch) == batches


def test_plain_keeps_a_last_single_image() -> None:
    made = source()
    loader = make_loader(made, made.train, CPU)
    assert [len(batch) for batch in loader.plain(all_samples(made).take(torch.arange(9)), 8)] == [8, 1]


def test_read_only_pixels_are_taken_without_a_warning() -> None:
    made = source()
    assert isinstance(made.train.images, ArrayImages)
    made.train.images.pixels.flags.writeable = False
    assert len(epoch(made, all_samples(made))) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_images_of_the_cpu_and_no_batch_waits_for_it() -> None:
    made = source()
    samples = all_samples(made)
    epoch_on_gpu = make_loader(made, made.train, torch.device("cuda")).train(samples, 16, generator(1), generator(2))
    batches = [next(epoch_on_gpu)]  # the draws of the epoch are sent before the first batch
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches.extend(epoch_on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in batches)
    torch.testing.assert_close(images_of(batches).cpu(), images_of(epoch(made, samples)), rtol=0, atol=1e-6)
