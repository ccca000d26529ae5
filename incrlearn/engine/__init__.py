"""The engine: tasks, the one training loop, evaluation, checkpoints. Functions over one explicit state."""
