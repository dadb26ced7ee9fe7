"""Other HTTP services that Springfield asks. May import `model` and `errors`."""
