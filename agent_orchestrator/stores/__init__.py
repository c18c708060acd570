"""What is kept: the routing file, the state database, and files replaced whole.

Blocking, and without any hold across ``await``: async callers go through a thread.
"""
