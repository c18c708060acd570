"""Data sets: from a source through checks and cleaning to files with a hash."""
