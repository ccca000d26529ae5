"""MEMO: all tasks share the first stages of a ResNet, and each adds last stages of its own."""

from incrlearn_memo.network import SharedNetwork
from incrlearn_memo.plugin import Memo

__all__ = ["Memo", "SharedNetwork"]
