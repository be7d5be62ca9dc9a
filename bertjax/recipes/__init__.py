"""What recipes in `configs/` are made of, and how a recipe is found and read."""
