"""Compresses a trained network: groups of its weights are pruned by their evidence (BayesNAS, algorithm 3)."""
