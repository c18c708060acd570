"""Reading YAML: a text that is composed from again and again is parsed once."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML


def load_yaml(text: str) -> Any:
    """Return what a YAML text says, the caller's own to change. Raises YAMLError."""
    return deepcopy(_parsed(text))


@lru_cache(maxsize=32)
def _parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
