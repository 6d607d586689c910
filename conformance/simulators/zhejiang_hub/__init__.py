"""A stand-in for the provincial data hub of Zhejiang (``zhejiang-hub``): a SOAP service of its own.

What the registry reference §4.2 states is kept to: one operation, the request envelope, numbers of requests, return codes, node names, what a
card and its visits need. What it does not state (the order of some codes, the names of the window, how and when the hub judges) is this
simulator's own and said where it stands. Everything is kept in memory.

As a process of its own: ``python -m conformance.simulators.zhejiang_hub --port 8770``.
"""
