"""Cross-entropy against float64."""

import numpy as np
import torch

from incrlearn import Batch, Output
from incrlearn_plugins.loss.cross_entropy import CrossEntropy


def test_equals_float64_reference() -> None:
    logits, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 3, 2, 1, 1, 0])
    plugin = CrossEntropy("loss", CrossEntropy.Config())
    (term,) = plugin.loss_terms(Batch(torch.zeros(6, 1, 1, 1), labels), Output((logits,), logits, logits))
    rows = logits.double().numpy()
    reference = np.mean(
        [np.log(np.exp(row).sum()) - row[label] for row, label in zip(rows, labels.tolist(), strict=True)]
    )
    np.testing.assert_allclose(term.value.item(), reference, rtol=1e-6)
    assert (term.name, term.weight) == ("loss", 1.0)
