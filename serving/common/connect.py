"""What a client speaks to, by its address."""

from __future__ import annotations

from serving.common.connection import Rest
from serving.common.grpc_connection import Grpc
from serving.common.onnx_connection import SCHEME, Onnx


def connect(url: str, timeout: float, token: str | None, verify: bool | str) -> Rest | Grpc | Onnx:
    """Opens an address.

    Args:
        url: http://, https://, grpc:// or grpcs:// and a host, or onnx: and a file.
        timeout: seconds for an answer.
        token: bearer token, or None.
        verify: of TLS: True for the usual authorities, or a file of them.

    Raises:
        ValueError: if the address is of another kind.
        ImportError: if a package is missing.
    """
    if url.startswith(SCHEME):
        return Onnx(url.removeprefix(SCHEME))
    if not url.startswith(("http://", "https://", "grpc://", "grpcs://")):
        raise ValueError(
            f"url: must begin with http://, https://, grpc://, grpcs:// or onnx:, received {url!r}"
        )
    if url.startswith("grpc"):
        scheme, _, address = url.partition("://")
        return Grpc(address, timeout, token, scheme == "grpcs", verify)
    return Rest(url, timeout, token, verify)
