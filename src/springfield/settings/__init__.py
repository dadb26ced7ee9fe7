"""What an operator can set: a file a subject, and `table.py`, where they become one table.

Start at `table.py`. May import `stores.catalog` (to judge URLs), `model` and `errors`.
"""
