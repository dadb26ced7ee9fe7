"""The tests. The tree mirrors ``src/springfield``; ``servers`` starts the real servers."""
