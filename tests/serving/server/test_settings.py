"""The bearer token's file: read without its line break, refused where there is no token in it."""

from pathlib import Path

import pytest

from serving.common.config import ConfigError
from serving.server import settings


def test_the_token_is_the_files_text_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-long-secret\n", encoding="utf-8")
    assert settings.token(str(tmp_path / "token")) == "a-long-secret"
    assert settings.token("") is None


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, r"^--bearer_token_file: .*No such file or directory: '.*token'$"),
        (b"\xff\xfe", "^--bearer_token_file: 'utf-8' codec can't decode byte 0xff"),
        (b" \n", "^--bearer_token_file: '.*token' is empty$"),
    ],
)
def test_a_file_without_a_token_is_refused(
    tmp_path: Path, written: bytes | None, told: str
) -> None:
    if written is not None:
        (tmp_path / "token").write_bytes(written)
    with pytest.raises(ConfigError, match=told):
        settings.token(str(tmp_path / "token"))
