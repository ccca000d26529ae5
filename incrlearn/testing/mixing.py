"""Torch's functions by what they do with tensors of several devices."""

from __future__ import annotations

MAY_MIX = frozenset(
    {
        *("copy_", "to", "type_as", "backward", "has_names", "is_same_size", "numel", "set_", "_make_subclass"),
        *("_has_compatible_shallow_copy_type", "_pack_padded_sequence", "tensor_split"),
    }
)
"""Take tensors of several devices."""
IN_LISTS = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack"})
"""Take numbers of one device only."""
NUMPY = frozenset({"numpy", "__array__"})
"""Read a tensor of the host."""
TO_HOST = frozenset({"cpu", "tolist", "item", *NUMPY})
"""Give something on the host."""
MOVING = frozenset({"cpu", "to", "as_tensor", "asarray"})
"""Give the same memory where nothing has to be moved or converted."""
COPIES = frozenset({"tensor", "as_tensor", "asarray"})
"""Give a tensor again where it lies, and put numbers on the host."""
OF_NUMBERS = frozenset({"arange", "full", "linspace", "logspace"})
"""Put something on the host, whose numbers may be read from a device."""


def is_in_place(name: str) -> bool:
    """Whether a function of this name writes into its first tensor: ``add_``, ``__iadd__``."""
    return name.startswith("__i") if name.endswith("__") else name.endswith("_")
