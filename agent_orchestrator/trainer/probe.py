"""``python -m agent_orchestrator.trainer.probe``: what this interpreter can train with, as JSON.

``{"engine": {library: version}, "gpus": [{"name", "memory_bytes"}]}`` on standard output. Libraries
are really imported, for that is what fails; an error ends it with its traceback and status 1.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version

from agent_orchestrator.trainer.trl_engine import LIBRARIES


def main() -> int:
    """Import every library and look for GPUs; returns the exit status."""
    for library in LIBRARIES:
        import_module(library)
    import torch

    devices = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    found = {
        "engine": {library: version(library) for library in LIBRARIES},
        "gpus": [{"name": device.name, "memory_bytes": device.total_memory} for device in devices],
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
