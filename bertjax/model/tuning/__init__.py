"""Ways to tune few weights of a pretrained encoder: one file a way, `method.py` what one is."""
