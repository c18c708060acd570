"""What carries traffic: the router, the upstreams it calls, the gateway and the chat model over it.

``gateway`` must start without LangGraph and torch; ``chat_model`` is the only module that imports
LangChain.
"""
