"""From files to documents, sentences and token ids. No JAX."""
