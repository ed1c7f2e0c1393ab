"""`python -m benchmarks.distribution`."""

import sys

from benchmarks.distribution.command import main

sys.exit(main())
