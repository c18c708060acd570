"""Decisions as pure functions: no I/O, no clock, no client library.

Time is always an argument, in seconds since the epoch (UTC).
"""
