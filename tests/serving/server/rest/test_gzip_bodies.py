"""Compressed bodies: every member is read, however the coding's name is written."""

import gzip
import json
from typing import Any

import pytest

TEXT = json.dumps({"instances": [1.0, 2.0]}).encode()
ONE = gzip.compress(TEXT, mtime=0)
MEMBERS = gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
@pytest.mark.parametrize("body", [ONE, MEMBERS, MEMBERS + bytes(512)], ids=["one", "two", "padded"])
def test_every_member_is_read(conformance_server: Any, coding: str, body: bytes) -> None:
    found = conformance_server.predict("half_plus_two", body, headers={"Content-Encoding": coding})
    assert found.json == {"predictions": [3.5, 4.0]}


@pytest.mark.parametrize(
    "body", [MEMBERS[:-9], MEMBERS + b"more", b"no gzip", b""], ids=["cut", "more", "other", "none"]
)
def test_what_is_not_whole_gzip_is_refused(conformance_server: Any, body: bytes) -> None:
    found = conformance_server.predict("half_plus_two", body, headers={"Content-Encoding": "gzip"})
    assert found.status == 400
