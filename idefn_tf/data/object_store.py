"""Files at s3:// (and what else tensorflow-io opens): listed and read like those on disk.

tensorflow-io reads them where it loads; elsewhere pyarrow does, which also lists and copies what
lies at s3://, because it says what went wrong. Both take credentials and region from the usual AWS
variables, and another server's address from ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs

_through_tensorflow_io = False

#: Signs of refused credentials and of a server out of reach in what the S3 clients say.
_REFUSED = (
    "ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "TOKEN", "CREDENTIAL", "EXPIRED",
    "code: 401", "code: 403",
)  # fmt: skip
_UNREACHED = ("NETWORK_CONNECTION", "curlCode", "TIMEOUT")


def is_remote(path: Any) -> bool:
    """Whether `path` is an address such as s3://bucket/key."""
    return isinstance(path, str) and "://" in path


def aborts_at_exit() -> bool:
    """Whether this process has read s3:// through tensorflow-io.

    Its S3 client is torn down after what it needs, and such a process ends with SIGABRT (134)
    whatever it did. A program that minds its exit status leaves by ``os._exit`` once all is
    flushed; the jobs of `pipelines` do.
    """
    return _through_tensorflow_io


def files_under(address: str, argument: str = "source") -> list[str]:
    """Lists the files that an address, a folder or a glob in a last part stands for, in order.

    Raises:
        ValueError: naming `argument`, if the server cannot be asked.
    """
    arrow = address.startswith("s3://") or _arrow()
    with explained(address, argument):
        return sorted(_arrow_files(address) if arrow else _tensorflow_files(address))


def copy(address: str, path: Path, argument: str = "source") -> None:
    """Copies one file from an address onto this disk.

    Raises:
        ValueError: naming `argument`, if it cannot be read.
    """
    with explained(address, argument):
        filesystem, key = _filesystem(address)
        with filesystem.open_input_stream(key) as source, path.open("wb") as out:
            shutil.copyfileobj(source, out)


@contextmanager
def explained(path: str, argument: str = "source") -> Iterator[None]:
    """Turns what readers raise into a ValueError: what cannot be read, why, and the cure."""
    try:
        yield
    except (*_tensorflows_error(), pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{argument}: {path} {_why(path, str(error))}") from None


def _tensorflows_error() -> tuple[type[Exception], ...]:
    """Returns the base of TensorFlow's errors; what it did not read, none of them is about."""
    tensorflow = sys.modules.get("tensorflow")
    return (tensorflow.errors.OpError,) if tensorflow else ()


def _why(path: str, said: str) -> str:
    """Returns what is wrong with a path, from the words of tensorflow-io or pyarrow."""
    server = _server() or "its server"
    if is_remote(path) and any(sign in said for sign in _REFUSED):
        names = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE")
        given = [name for name in names if os.environ.get(name)]
        which = f"those of {' and '.join(given)}" if given else f"neither {' nor '.join(names)} set"
        return (
            f"must be open to the credentials given ({which}), which {server} refuses; set "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE. It said: {said}"
        )
    if is_remote(path) and any(sign in said for sign in _UNREACHED):
        return (
            f"must be within reach, and {server} does not answer; check AWS_ENDPOINT_URL and the "
            f"network. What was said: {said}"
        )
    return f"cannot be read; {said}"


def opened(path: str) -> Any:
    """Returns what pyarrow reads: the path itself, or an open file if it is remote."""
    if not is_remote(path):
        return path
    if _arrow():
        filesystem, key = _filesystem(path)
        return filesystem.open_input_file(key)
    return pa.PythonFile(_File(path), mode="r")


def prepare_for_tensorflow(path: str) -> None:
    """Makes TensorFlow itself able to open an address, for what it reads alone (TFRecord).

    Raises:
        ImportError: where tensorflow-io does not load.
    """
    from idefn_tf.data.tensorflow_io_plugin import load_tensorflow_io

    _name_the_server()
    load_tensorflow_io()
    if path.startswith("s3://"):
        global _through_tensorflow_io
        _through_tensorflow_io = True


@functools.cache
def _arrow() -> bool:
    """Whether pyarrow has to read, because tensorflow-io does not load."""
    try:
        prepare_for_tensorflow("")
    except ImportError:
        return True
    return False


def _server() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _name_the_server() -> None:
    """Tells tensorflow-io, which reads variables of its own, what the AWS variables say."""
    server = urlsplit(_server())
    if server.netloc and not os.environ.get("S3_ENDPOINT"):
        os.environ["S3_ENDPOINT"] = server.geturl()
        os.environ["S3_USE_HTTPS"] = "0" if server.scheme == "http" else "1"
    if os.environ.get("AWS_DEFAULT_REGION"):
        os.environ.setdefault("AWS_REGION", os.environ["AWS_DEFAULT_REGION"])


# -- through tensorflow-io ------------------------------------------------------------------------


def _tensorflow_files(address: str) -> list[str]:
    import tensorflow as tf

    prepare_for_tensorflow(address)
    if any(sign in address for sign in "*?["):
        return list(tf.io.gfile.glob(address))
    if not tf.io.gfile.isdir(address):
        return [address] if tf.io.gfile.exists(address) else []
    found = []
    for folder, _, names in tf.io.gfile.walk(address):
        found += [f"{folder.rstrip('/')}/{name}" for name in names]
    return found


class _File(io.RawIOBase):
    """A file of TensorFlow's as Python's: what pyarrow asks of one."""

    def __init__(self, path: str) -> None:
        import tensorflow as tf

        prepare_for_tensorflow(path)
        self._file = tf.io.gfile.GFile(path, "rb")
        self._size = self._file.size()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._file.seek(start + offset)
        return start + offset

    def read(self, size: int = -1) -> bytes:
        size = self._size - self.tell() if size is None or size < 0 else size
        return bytes(self._file.read(size)) if size else b""

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


# -- through pyarrow ------------------------------------------------------------------------------


def _filesystem(address: str) -> tuple[Any, str]:
    server = urlsplit(_server())
    if address.startswith("s3://") and server.netloc:
        options = {"endpoint_override": server.netloc, "scheme": server.scheme}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if region:
            options["region"] = region
        return pyarrow.fs.S3FileSystem(**options), address.removeprefix("s3://")
    return pyarrow.fs.FileSystem.from_uri(address)


def _arrow_files(address: str) -> list[str]:
    import fnmatch

    scheme = address.partition("://")[0]
    head = address
    for sign in "*?[":
        head = head.partition(sign)[0]
    folder = address if head == address else head.rpartition("/")[0]
    filesystem, key = _filesystem(folder)
    info = filesystem.get_file_info(key)
    if info.type == pyarrow.fs.FileType.File:
        return [address]
    chosen = pyarrow.fs.FileSelector(key, recursive=True, allow_not_found=True)
    found = [f"{scheme}://{i.path}" for i in filesystem.get_file_info(chosen) if i.is_file]
    return found if head == address else [f for f in found if fnmatch.fnmatchcase(f, address)]
