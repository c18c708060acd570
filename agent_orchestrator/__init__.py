"""code/chef: a coding-agent orchestrator whose agents' models improve under evidence.

Importing this package loads nothing else; each process composes what it needs in ``wiring``.
"""

__version__ = "0.1.0"
