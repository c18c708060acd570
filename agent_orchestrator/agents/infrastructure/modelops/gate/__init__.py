"""The checklist before traffic."""
