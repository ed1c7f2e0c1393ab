"""`python -m benchmarks.history`."""

import sys

from benchmarks.history.command import main

sys.exit(main())
