"""Experiments from templates: several models, several ways of asking."""
