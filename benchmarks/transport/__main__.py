"""`python -m benchmarks.transport`."""

from benchmarks.transport.command import main

main()
