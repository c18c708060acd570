"""Traces of use cases and calls, without secrets."""
