"""What a machine needs to serve a model."""

from __future__ import annotations

#: Weights in 16 bits, 15 % for what a serving engine keeps beside them, and room for the
#: key-value cache of a few long prompts. An approximation: quantised weights need less.
_BYTES_A_WEIGHT = 2.0
_OVERHEAD = 1.15
_CACHE_GB = 2.0


def gpu_memory_gb(parameters: float) -> float:
    """Return the GPU memory that serving ``parameters`` weights takes, in GB."""
    return parameters * _BYTES_A_WEIGHT * _OVERHEAD / 1e9 + _CACHE_GB
