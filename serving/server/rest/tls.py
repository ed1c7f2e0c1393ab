"""HTTPS: certificates from files, or from tensorflow_model_server's SSLConfig."""

from __future__ import annotations

import argparse
import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator

from serving.common import config


def context(found: argparse.Namespace) -> ssl.SSLContext | None:
    """The TLS settings of a command line.

    Args:
        found: The parsed flags.

    Returns:
        A context; None to serve plain HTTP.

    Raises:
        ConfigError: A certificate or key cannot be used.
    """
    if not files(found):
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    _fill(made, found)
    return made


def files(found: argparse.Namespace) -> list[str]:
    """The files that a command line takes certificates and keys from."""
    if found.ssl_config_file:
        return [found.ssl_config_file]
    return [path for path in (found.ssl_certfile, found.ssl_keyfile) if path]


def renew(made: ssl.SSLContext, found: argparse.Namespace) -> None:
    """Takes a renewed certificate and key into a context in use; new connections get them.

    Authorities are only added: one that is no longer to be trusted needs a restart.

    Raises:
        ConfigError: They cannot be used, or not with each other yet; nothing is changed.
    """
    context(found)
    _fill(made, found)


def _fill(made: ssl.SSLContext, found: argparse.Namespace) -> None:
    if found.ssl_config_file:
        given = config.read_ssl_config(found.ssl_config_file)
        with _file(str(given["server_cert"])) as cert, _file(str(given["server_key"])) as key:
            _load(made, cert, key, "ssl_config_file")
        if given["custom_ca"]:
            made.load_verify_locations(cadata=str(given["custom_ca"]))
        if given["client_verify"]:
            if not given["custom_ca"]:
                made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            made.verify_mode = ssl.CERT_REQUIRED
        return
    _load(made, found.ssl_certfile, found.ssl_keyfile, "--ssl_certfile, --ssl_keyfile")
    if found.ssl_ca_certs:
        try:
            made.load_verify_locations(found.ssl_ca_certs)
        except (OSError, ssl.SSLError) as error:
            raise config.ConfigError(f"--ssl_ca_certs: {error}") from None
        made.verify_mode = ssl.CERT_REQUIRED


def _load(made: ssl.SSLContext, cert: str, key: str, where: str) -> None:
    try:
        made.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise config.ConfigError(f"{where}: {error}") from None


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """A private file with this text, for as long as it is read (ssl takes paths only)."""
    handle, path = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        yield path
    finally:
        os.unlink(path)
