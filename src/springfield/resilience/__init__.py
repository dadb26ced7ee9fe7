"""Policies that wrap an operation: deadline, retry, breaker, bulkhead. They know no store and no HTTP.

Imports nothing of ours but `errors` and `observability`. Start at `policy.py`.
"""
