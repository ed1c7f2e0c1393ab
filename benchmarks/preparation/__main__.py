"""`python -m benchmarks.preparation`."""

import sys

from benchmarks.preparation.command import main

sys.exit(main())
