"""The training app on a Space: its content, its deployment, its care."""
