"""Composition roots: one module per process. Heavy imports stand inside the factories."""
