"""The Model Context Protocol door: every use case as a tool, over stdio and streamable HTTP."""
