"""What both doors say of the same bad input: the table in docs/serve.md, line by line."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests

from idefn_tf.export import replay
from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import to_proto

PAGE = Path(__file__).parents[4] / "docs" / "serve.md"
HEAD = "| bad input | REST | gRPC |"
LONGEST = 90


def remove(name: str) -> Callable[[dict], Any]:
    return lambda given: given["inputs"].pop(name)


def put(name: str, array: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], Any]:
    def change(given: dict) -> None:
        given["inputs"][name] = array(given["inputs"].get(name, np.zeros(2)))

    return change


def every(array: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], Any]:
    def change(given: dict) -> None:
        given["inputs"] = {name: array(value) for name, value in given["inputs"].items()}

    return change


CASES: dict[str, Callable[[dict], Any]] = {
    "no request": lambda given: given.update(raw=(b"{", b"\xff\xff")),
    "another model": lambda given: given.update(model="none"),
    "a version that is not there": lambda given: given.update(version=7),
    "a label that is not there": lambda given: given.update(label="canary"),
    "a signature that is not there": lambda given: given.update(signature="other"),
    "an input is missing": remove("hour"),
    "an input that the model lacks": put("more", lambda _: np.zeros(2, np.int64)),
    "text for an id": put("user", lambda _: np.array([b"a", b"b"], object)),
    "a fraction for an id": put("user", lambda _: np.array([1.5, 2.5])),
    "inputs of several lengths": put("user", lambda array: array[:1]),
    "a list for a number": put("user", lambda array: array[:, None]),
    "a list of another length": put("topics", lambda array: array[:, :1]),
    "a number for a list": put("topics", lambda array: array[:, 0]),
    "too many rows": every(lambda array: np.repeat(array, 26, axis=0)),
    "too large a message": every(lambda array: np.repeat(array, 2000, axis=0)),
    "no token": lambda given: given.update(token=None),
}


@pytest.fixture(scope="module")
def doors(tiny_base, embedded_grpc, tmp_path_factory):
    """A server with limits and a token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("secret")
    return embedded_grpc(
        "--model_name=cvr", f"--model_base_path={tiny_base}", "--rest_api_max_rows=50",
        "--rest_api_max_body_bytes=100000", f"--bearer_token_file={token}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def good(tiny):
    """A request of two rows that both doors answer."""
    arrays = replay.request_arrays(tiny.SCHEMA, tiny.make_frame())
    inputs = {name: array[:2] for name, array in arrays.items()}
    return {"model": "cvr", "token": "secret", "inputs": inputs}


def rest(url: str, given: dict) -> str:
    path = f"{url}/v1/models/{given['model']}"
    if "version" in given:
        path += f"/versions/{given['version']}"
    if "label" in given:
        path += f"/labels/{given['label']}"
    columns = {
        name: [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]
        if array.ndim == 1
        else [[v.decode() if isinstance(v, bytes) else v for v in row] for row in array.tolist()]
        for name, array in given["inputs"].items()
    }
    body = {"signature_name": given.get("signature", ""), "inputs": columns}
    data = {"data": given["raw"][0]} if "raw" in given else {"json": body}
    headers = {"Authorization": f"Bearer {given['token']}"} if given["token"] else {}
    answer = requests.post(f"{path}:predict", headers=headers, timeout=60, **data)
    if answer.status_code == 200:
        return "200"
    return f"{answer.status_code} {answer.json()['error']}"


def rpc(address: str, given: dict) -> str:
    request = message_class("PredictRequest")()
    spec = request.model_spec
    spec.name, spec.signature_name = given["model"], given.get("signature", "")
    if "version" in given:
        spec.version.value = given["version"]
    if "label" in given:
        spec.version_label = given["label"]
    for name, array in given["inputs"].items():
        request.inputs[name] = to_proto(array, content=True)
    body = given["raw"][1] if "raw" in given else request.SerializeToString()
    shown = [("authorization", f"Bearer {given['token']}")] if given["token"] else []
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        try:
            call(body, metadata=shown, timeout=60)
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
    return "OK"


def short(said: str) -> str:
    """One line for the table; digits that a run chooses are left out."""
    said = re.sub(r"\s+", " ", said).replace("|", "\\|")
    return said if len(said) <= LONGEST else said[: LONGEST - 4].rstrip() + " ..."


def test_both_doors_say_what_the_table_says(doors: tuple[str, str], good: dict) -> None:
    assert (rest(doors[0], good), rpc(doors[1], good)) == ("200", "OK")
    lines = []
    for name, change in CASES.items():
        given = copy.deepcopy(good)
        change(given)
        lines.append(f"| {name} | {short(rest(doors[0], given))} | {short(rpc(doors[1], given))} |")
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    assert table == lines, "\n".join(lines)
