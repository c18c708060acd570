"""The app of a Hugging Face Space that trains: a thin HTTP shell over job folders.

It runs the same worker in the same folders as training on this machine does, one job at a time for
each GPU. Everything about a job stands in its folder, so that the app may be killed and started
again at any time. ``backends/space_protocol.py`` is what it says and understands.
"""
