"""``python -m agent_orchestrator.trainer.gguf JOB_DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent_orchestrator.trainer.gguf.worker import convert
from agent_orchestrator.trainer.worker import run


def main() -> int:
    """Run one conversion; returns the exit status."""
    parser = argparse.ArgumentParser(prog="gguf", description="Convert one model to GGUF.")
    parser.add_argument("job_dir", type=Path, help="folder that holds spec.json")
    return run(parser.parse_args().job_dir.resolve(), convert)


if __name__ == "__main__":
    sys.exit(main())
