"""Ablations: a grid of ordinary pretraining runs, what was measured of each, and what it shows."""
