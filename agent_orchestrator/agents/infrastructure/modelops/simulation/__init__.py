"""Simulated canaries: what a rollout with given rates would do."""
