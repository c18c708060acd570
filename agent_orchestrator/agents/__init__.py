"""The agents of the orchestrator; each is a system prompt and a tool list."""
