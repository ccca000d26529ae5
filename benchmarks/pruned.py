"""What removing channels brings at inference, before and after in one run: ``python benchmarks/pruned.py``.

Random gates of a backbone are closed and their channels taken out of the weights. Each row is another share; its
latency is the median over batches timed in turns with the whole network, so that only the machine's noise is left
between them. Only the ratio is worth quoting. Random masks tell nothing of accuracy.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch

from incrlearn.engine.runtime import Runtime
from incrlearn.ledger import inference_flops, model_megabytes
from incrlearn.network import (
    BranchedNetwork,
    ChannelMap,
    LinearHead,
    build_backbone,
    kept_features,
    map_channels,
    remove_channels,
)
from incrlearn.recipe import BackboneOptions

SHAPE = (3, 32, 32)
CLASSES = 100


def make_network() -> BranchedNetwork:
    """ResNet-18 with the CIFAR stem and a head for 100 classes."""
    backbone = build_backbone(BackboneOptions(name="resnet18", stem="cifar"), channels=SHAPE[0], seed=0)
    network = BranchedNetwork([backbone]).eval()
    network.head = LinearHead(network.width, CLASSES, False, torch.Generator().manual_seed(0))
    return network


def without(network: BranchedNetwork, channels: ChannelMap, share: float) -> BranchedNetwork:
    """A copy from which a random share of the gates of each group is gone, but never a group's last."""
    generator = torch.Generator().manual_seed(1)
    open_gates = torch.ones(channels.gates, dtype=torch.bool)
    for group, place in channels.slices():
        order = place.start + torch.randperm(group.gates, generator=generator)
        open_gates[order[: min(group.gates - 1, round(share * group.gates))]] = False
    pruned = copy.deepcopy(network)
    pruned.narrow_newest(kept_features(channels, open_gates))
    remove_channels(pruned.backbones[-1], channels, open_gates)
    return pruned


@torch.inference_mode()
def milliseconds(network: BranchedNetwork, images: torch.Tensor, runtime: Runtime) -> float:
    """Wall time of one batch, from images to logits."""
    _synchronise(runtime.device)
    started = time.perf_counter()
    with runtime.autocast():
        parts = network.extract(images)
    network.classify(parts)
    _synchronise(runtime.device)
    return 1000 * (time.perf_counter() - started)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Time the whole and the pruned networks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bf16"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=11, help="batches of each network, in turns; the median counts")
    parser.add_argument("--closed", type=float, nargs="+", default=[0.5, 0.9], help="shares of the gates to close")
    options = parser.parse_args()

    runtime = Runtime(options.device, options.precision)
    whole = make_network()
    channels = map_channels(whole.backbones[-1], SHAPE)
    networks = {0.0: whole} | {share: without(whole, channels, share) for share in options.closed}
    for network in networks.values():
        runtime.place(network)
    images = torch.randn(options.batch, *SHAPE, generator=torch.Generator().manual_seed(2)).to(runtime.device)
    images = images.contiguous(memory_format=torch.channels_last)

    times: dict[float, list[float]] = {share: [] for share in networks}
    for turn in range(options.rounds + 1):
        for share, network in networks.items():
            taken = milliseconds(network, images, runtime)
            # The first turn warms up.
            if turn > 0:
                times[share].append(taken)
    medians = {share: statistics.median(measured) for share, measured in times.items()}

    print(f"{runtime.hardware()}  torch {torch.__version__}  batch {options.batch} in {runtime.precision}")
    print(f"{'closed':>7} {'parameters':>11} {'MFLOPs':>8} {'MB':>6} {'ms':>8} {'FLOPs x':>8} {'faster x':>9}")
    flops = {share: inference_flops(network, images[:1]) for share, network in networks.items()}
    for share, network in networks.items():
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(
            f"{share:>7.0%} {parameters:>11,} {flops[share] / 1e6:>8.1f} {model_megabytes(network):>6.1f} "
            f"{medians[share]:>8.1f} {flops[0.0] / flops[share]:>8.2f} {medians[0.0] / medians[share]:>9.2f}"
        )


if __name__ == "__main__":
    main()
