#!/usr/bin/env bash
# A version with leading zeros in TensorFlow Serving's models.config is read as octal.
#
# Guess:  `versions: 00000123` is version 123, as the folder of that name is.
# Found:  protobuf 4.25.9 (text format) with tensorflow-serving-api 2.17.1:
#           00000123 -> 83   010 -> 8   0x10 -> 16   08 -> an error
#         A folder name is decimal to the server, so the pinned version is another or none.
# Cure:   write versions without leading zeros.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check protobuf==4.25.9
"$work/v/bin/pip" install -q --disable-pip-version-check --no-deps \
    tensorflow-serving-api==2.17.1 grpcio==1.66.2
"$work/v/bin/python" - <<'PY'
from google.protobuf import text_format
from tensorflow_serving.config import (
    file_system_storage_path_source_pb2 as source,
)

Policy = source.FileSystemStoragePathSourceConfig.ServableVersionPolicy


def versions(text):
    return list(text_format.Parse(f"specific {{ versions: {text} }}", Policy()).specific.versions)


seen = {text: versions(text) for text in ("00000123", "010", "0x10", "123")}
print(seen)
assert seen == {"00000123": [83], "010": [8], "0x10": [16], "123": [123]}, "read otherwise now"
try:
    versions("08")
except text_format.ParseError as error:
    print("08:", error)
else:
    raise AssertionError("08 is accepted now")
PY
