"""Several fine-tuned models as one: averages, fitted weights, votes, stacks, soups."""
