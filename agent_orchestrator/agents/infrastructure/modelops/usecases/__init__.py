"""The use cases: one typed request and one typed result each, the same at every door."""
