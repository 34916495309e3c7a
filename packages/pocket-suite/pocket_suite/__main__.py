"""`python -m pocket_suite` runs the command line."""

import sys

from pocket_suite.cli import main

if __name__ == "__main__":
    sys.exit(main())
