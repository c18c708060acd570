"""The supervisor: who works on what."""
