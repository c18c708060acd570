"""The Space's entry point."""

import sys

from agent_orchestrator.training_space.process import main

sys.exit(main())
