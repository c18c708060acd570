"""Evaluation: a candidate beside a baseline on the same examples."""
