"""Corpora and batches. NumPy, ArrayRecord and Grain; never JAX, so that workers stay light."""
