"""`python -m benchmarks.sequences`."""

import sys

from benchmarks.sequences.command import main

sys.exit(main())
