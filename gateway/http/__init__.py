"""A lean HTTP/1.1 client for the hot path: `httptools` parses, connections are kept alive.

It does what calls to vendors need and no more: no redirects, cookies, proxies or HTTP/2. A whole answer costs a quarter
of the CPU that it costs with aiohttp (`bench/vendor_calls.py`).
"""
