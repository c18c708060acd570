"""Rollouts: what changes who serves, and what decides it."""
