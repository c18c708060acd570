"""The HTTP API: a door. Each module parses one kind of request, calls one use case and answers."""
