"""What the agents share: the agent itself, its tools, and how they work together."""
