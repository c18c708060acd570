"""Names of data sets, made of the names of what they come from."""

from __future__ import annotations

import re


def slug(name: str) -> str:
    """Return ``name`` as a data set's name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-") or "dataset"
