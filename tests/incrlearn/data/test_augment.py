"""Batched augmentation against torchvision, and the distribution of its draws."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from PIL import Image
from torchvision import transforms

from incrlearn.data.augment import Draws, adjust_brightness, crop_and_flip, draw, finish
from incrlearn.data.sources import Augment

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_pixels(count: int, height: int = 8, width: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.randint(256, (count, height, width, channels), generator=generator(5), dtype=torch.uint8)


def column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]


def test_every_crop_and_flip_equals_torchvisions_to_the_pixel() -> None:
    padding = 2
    places = [
        (top, left, flip) for top in range(2 * padding + 1) for left in range(2 * padding + 1) for flip in (False, True)
    ]
    tops, lefts, flips = (torch.tensor(column) for column in zip(*places, strict=True))
    pixels = random_pixels(len(places))
    ours = crop_and_flip(pixels, Draws(tops, lefts, flips, torch.ones(len(places))), padding)
    for number, (top, left, flip) in enumerate(places):
        image = Image.fromarray(pixels[number].numpy())
        wanted = reference.crop(reference.pad(image, padding), top, left, 8, 6)
        wanted = reference.hflip(wanted) if flip else wanted
        assert np.array_equal(ours[number].numpy(), np.asarray(wanted))


def test_crop_offsets_are_uniform_over_all_positions() -> None:
    count, padding = 81 * 1000, 4
    draws = draw(Augment(padding=padding), count, generator())
    cells = torch.bincount(draws.top * 9 + draws.left, minlength=81)
    assert len(cells) == 81
    # Chi-square with 80 degrees of freedom: 99.99 % of the time below 135.
    assert float(((cells - 1000.0) ** 2 / 1000.0).sum()) < 135


def test_flips_come_with_probability_one_half_and_only_when_asked_for() -> None:
    count = 40_000
    share = float(draw(Augment(flip=True), count, generator()).flip.float().mean())
    assert abs(share - 0.5) < 4 * 0.5 / count**0.5
    assert not draw(Augment(), count, generator()).flip.any()


@pytest.mark.parametrize(("brightness", "lowest", "highest"), [(63 / 255, 192 / 255, 318 / 255), (1.0, 0.0, 2.0)])
def test_brightness_factors_are_uniform_over_torchvisions_range(
    brightness: float, lowest: float, highest: float
) -> None:
    assert transforms.ColorJitter(brightness=brightness).brightness == pytest.approx((lowest, highest))
    factors = draw(Augment(brightness=brightness), 50_000, generator()).brightness.sort().values
    assert lowest <= float(factors[0])
    assert float(factors[-1]) <= highest
    # Kolmogorov-Smirnov distance from the uniform distribution: 99.99 % of the time below 2.23 / sqrt(n).
    uniform = torch.linspace(lowest, highest, 50_000)
    assert float((factors - uniform).abs().max()) / (highest - lowest) < 2.23 / 50_000**0.5


def test_crop_flip_and_brightness_are_drawn_independently() -> None:
    draws = draw(Augment(padding=4, flip=True, brightness=0.5), 40_000, generator())
    table = torch.stack([draws.top.float(), draws.left.float(), draws.flip.float(), draws.brightness])
    off_diagonal = torch.corrcoef(table) - torch.eye(4)
    assert float(off_diagonal.abs().max()) < 4.5 / 40_000**0.5


def test_turning_one_step_off_leaves_the_draws_of_the_others() -> None:
    everything = draw(Augment(padding=4, flip=True, brightness=0.3), 1000, generator(3))
    no_crop = draw(Augment(flip=True, brightness=0.3), 1000, generator(3))
    assert torch.equal(everything.flip, no_crop.flip)
    assert torch.equal(everything.brightness, no_crop.brightness)
    assert not no_crop.top.any()
    no_flip = draw(Augment(padding=4, brightness=0.3), 1000, generator(3))
    assert torch.equal(everything.top, no_flip.top)
    assert torch.equal(everything.left, no_flip.left)
    assert torch.equal(everything.brightness, no_flip.brightness)


def test_brightness_equals_torchvision_on_float_images() -> None:
    factors = torch.tensor([0.0, 0.4, 0.75, 1.0, 1.2, 1.9])
    images = random_pixels(len(factors)).permute(0, 3, 1, 2).float() / 255
    ours = adjust_brightness(images, factors)
    for number, factor in enumerate(factors.tolist()):
        wanted = reference.adjust_brightness(images[number], factor)
        torch.testing.assert_close(ours[number], wanted, rtol=0, atol=1e-6)


def test_whole_chain_is_within_one_grey_level_of_torchvision_on_pil_images() -> None:
    factors = torch.tensor([0.76, 1.0, 1.24])
    pixels = random_pixels(3)
    ours = finish(pixels, column(MEAN), column(STD), factors)
    for number, factor in enumerate(factors.tolist()):
        image = reference.adjust_brightness(Image.fromarray(pixels[number].numpy()), factor)
        wanted = reference.normalize(reference.to_tensor(image), MEAN, STD)
        assert float(((ours[number] - wanted).abs() * column(STD)).max()) <= 1 / 255 + 1e-6


def test_padding_is_black_before_normalisation() -> None:
    white = torch.full((1, 4, 4, 3), 255, dtype=torch.uint8)
    shifted = Draws(torch.tensor([0]), torch.tensor([1]), torch.tensor([False]), torch.ones(1))
    image = finish(crop_and_flip(white, shifted, 1), column(MEAN), column(STD))[0]
    torch.testing.assert_close(image[:, 0, 0], -torch.tensor(MEAN) / torch.tensor(STD))
    torch.testing.assert_close(image[:, 1, 0], (1 - torch.tensor(MEAN)) / torch.tensor(STD))


@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_equals_torchvision_bit_for_bit(channels: int) -> None:
    pixels = random_pixels(4, channels=channels)
    mean, std = MEAN[:channels], STD[:channels]
    ours = finish(pixels, column(mean), column(std))
    wanted = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    assert torch.equal(ours, torch.stack([wanted(image.numpy()) for image in pixels]))
    assert ours.dtype == torch.float32
    assert ours.is_contiguous(memory_format=torch.channels_last)
