"""Task families: from labelled files to rows of tokens, and from scores to predictions."""
