"""``python -m agent_orchestrator`` is ``chef``."""

from agent_orchestrator.cli.main import main

if __name__ == "__main__":
    main()
