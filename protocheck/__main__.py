"""``python -m protocheck``."""

import sys

from protocheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
