"""Measurements: speed beside PyTorch, searches beside baselines, pruning beside a peer. Not part of the wheel."""
