"""The end of aiohttp's servers that run inside a test's process."""

from __future__ import annotations

import asyncio

from aiohttp import web

# asyncio makes a transport in the round of the loop after the one in which it accepted, and tells
# the protocol of it in the next.
_ROUNDS = 5


async def end(runner: web.AppRunner) -> None:
    """Stop accepting, let those in who have knocked, and clean up.

    ``asyncio.Server.close`` loses a connection that was accepted in the same round of the loop: its
    transport is made after that, and stays half-made and open (python/cpython#109564). The garbage
    collector tells of an unclosed socket then, in whichever test happens to run.
    """
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        listening = site._server
        assert isinstance(listening, asyncio.Server)
        for one in listening.sockets:
            loop.remove_reader(one.fileno())
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    await runner.cleanup()
