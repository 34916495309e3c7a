"""`python -m footage` runs the command line; torchrun starts it this way."""

import sys

from footage.cli import main

sys.exit(main())
