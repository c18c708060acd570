"""A conversation as doors see it: turns go in, typed events come out."""
