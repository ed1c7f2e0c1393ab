"""`python -m benchmarks.training`."""

import sys

from benchmarks.training.command import main

sys.exit(main())
