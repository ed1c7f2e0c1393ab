#!/usr/bin/env bash
# MLServer's NumpyCodec gives back the ids 10, 11, 100 and 1999 as b'1', b'1', b'1' and b'1'.
#
# Guess:  what one codec encodes it decodes to the same values, or it refuses them: [10, 11, 100, 1999] in an object
#         column (pandas makes one of ids with gaps) arrive as numbers or as texts.
# Found:  mlserver 1.7.1, pandas 2.3.3: encode_input calls objects BYTES and sends the bare numbers; decode_input makes
#         fixed-width bytes of width 1: each value keeps its first character, None is b'N', .25 and .5 are b'0'.
#         Texts in the same column ("u10") come back whole, an int64 array too. No error on either side.
#         A request of object ids is scored for nine users at most.
# Cure:   astype("int64") before encoding, or texts with StringCodec.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check mlserver==1.7.1 pandas==2.3.3 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec
from mlserver.types import RequestInput


def over(values):
    """Values as the server sees them: encoded, written as JSON, read, decoded."""
    sent = NumpyCodec.encode_input("user", values).model_dump_json()
    return sent, NumpyCodec.decode_input(RequestInput.model_validate_json(sent)).ravel().tolist()


ids = pd.Series([10, 11, 100, 1999], dtype=object).to_numpy()
sent, objects = over(ids)
_, gaps = over(pd.Series([1700000060, None], dtype=object).to_numpy())
_, parts = over(np.array([0.25, 0.5], dtype=object))
_, whole = over(ids.astype("int64"))
_, texts = over(np.array(["u10", "u1999"], dtype=object))
print(sent)
print("objects", objects, "gaps", gaps, "fractions", parts, "int64", whole, "texts", texts)
assert whole == [10, 11, 100, 1999] and texts == ["u10", "u1999"], "the other types"
assert objects == [b"1"] * 4, "ids arrive whole"
assert gaps == [b"1", b"N"] and parts == [b"0", b"0"], "numbers arrive whole"
PY
