"""Corpora and batches. NumPy and ArrayRecord; never JAX, so that workers stay light."""
