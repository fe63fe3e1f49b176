"""Limits: requests, tokens, spend and concurrent calls over windows, decided at once for every rule of a call.

`model.py` holds the vocabulary, `windows.py` the time, `counters.py` the arithmetic. A `MemoryLimiter` counts for one
process, a `RedisLimiter` for all that share a Redis; both pass the same tests.
"""
