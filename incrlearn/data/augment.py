"""Augmentation and normalisation of whole batches: tensor operations, each image with its own draw.

Images are uint8 (B, H, W, C) until `finish` makes them float32 (B, C, H, W). The distribution of each step is
that of the torchvision transform named with it; the draws come first, all of an epoch at once, so that they are the
same on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from incrlearn.data.sources import Augment


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decided for n images."""

    top: Tensor
    """(n,) int64, first row of the crop in the padded image, 0 to 2 * padding."""
    left: Tensor
    """(n,) int64, first column of the crop in the padded image."""
    flip: Tensor
    """(n,) bool."""
    brightness: Tensor
    """(n,) float32, factors."""

    def to(self, device: torch.device) -> Draws:
        """The same draws on a device."""
        return Draws(self.top.to(device), self.left.to(device), self.flip.to(device), self.brightness.to(device))

    def part(self, start: int, stop: int) -> Draws:
        """The draws of some images."""
        chosen = slice(start, stop)
        return Draws(self.top[chosen], self.left[chosen], self.flip[chosen], self.brightness[chosen])


def draw(augment: Augment, count: int, generator: torch.Generator) -> Draws:
    """Draw for ``count`` images, on the CPU.

    As many numbers are drawn whatever ``augment`` asks for: turning one step off leaves the draws of the others.
    """
    top, left = torch.randint(2 * augment.padding + 1, (2, count), generator=generator)
    flip = torch.rand(count, generator=generator) < 0.5
    lowest, highest = max(0.0, 1.0 - augment.brightness), 1.0 + augment.brightness
    brightness = lowest + (highest - lowest) * torch.rand(count, generator=generator)
    return Draws(top, left, flip if augment.flip else torch.zeros_like(flip), brightness)


def crop_and_flip(pixels: Tensor, draws: Draws, padding: int) -> Tensor:
    """Pad with zeros, crop to the old size, then mirror: RandomCrop(size, padding), RandomHorizontalFlip.

    Args:
        pixels: (B, H, W, C) uint8.
        draws: B of them.
        padding: pixels of zeros on each side.

    Returns:
        (B, H, W, C) uint8.
    """
    count, height, width, _ = pixels.shape
    padded = pad(pixels, (0, 0, padding, padding, padding, padding)) if padding else pixels
    down = torch.arange(height, device=pixels.device)
    across = torch.arange(width, device=pixels.device)
    rows = draws.top[:, None] + down
    columns = draws.left[:, None] + torch.where(draws.flip[:, None], width - 1 - across, across)
    each = torch.arange(count, device=pixels.device)
    return padded[each[:, None, None], rows[:, :, None], columns[:, None, :]]


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """``min(1, factor * value)``: ColorJitter(brightness).

    Args:
        images: (B, C, H, W) float32 in [0, 1].
        factors: (B,) float32, from 0.
    """
    return (images * factors[:, None, None, None]).clamp_(0.0, 1.0)


def finish(pixels: Tensor, mean: Tensor, std: Tensor, brightness: Tensor | None = None) -> Tensor:
    """Scale to [0, 1], change the brightness, normalise: ToTensor, ColorJitter(brightness), Normalize.

    Args:
        pixels: (B, H, W, C) uint8.
        mean: (C, 1, 1) float32.
        std: (C, 1, 1) float32.
        brightness: (B,) factors, or None for no change.

    Returns:
        (B, C, H, W) float32, contiguous in channels_last.
    """
    images = pixels.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).float().div_(255)
    if brightness is not None:
        images = adjust_brightness(images, brightness)
    return images.sub_(mean).div_(std)
