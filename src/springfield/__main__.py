"""In charge of `python -m springfield`: the same as the `springfield` command."""

import sys

from springfield.cli import main

if __name__ == "__main__":
    sys.exit(main())
