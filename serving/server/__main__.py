"""`python -m serving.server`: loads the models, then opens the port, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server.

    Args:
        argv: The command line without the program's name; None for the process's own.

    Returns:
        The exit status: 0 after a stop by signal, 1 if a model or a file cannot be used.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stderr
    )
    from serving.server import flags, settings

    found = flags.parse(argv)
    if found.version:
        from importlib import metadata

        sys.stdout.write(f"idefn_tf embedded server, TensorFlow {metadata.version('tensorflow')}\n")
        return 0
    log = logging.getLogger("serving.server")
    for name in sorted(flags.IGNORED):
        if getattr(found, name) is not None:
            log.warning("--%s has no effect: %s", name, flags.IGNORED[name])
    try:
        chosen = settings.read(found)
    except settings.ConfigError as error:
        log.error("Cannot start: %s", error)
        return 1
    from serving.server import lifecycle  # TensorFlow is loaded here

    try:
        return lifecycle.serve(chosen)
    finally:
        chosen.listener.close()


if __name__ == "__main__":
    sys.exit(main())
