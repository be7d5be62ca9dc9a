"""bertjax: pretrain BERT-family encoders in JAX."""

__version__ = "0.1.0"
