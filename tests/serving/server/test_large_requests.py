"""Large requests: right to the last row, and small ones are answered meanwhile."""

import gzip
import json
from typing import Any


def test_a_hundred_thousand_rows(conformance_server: Any, http_tools: Any) -> None:
    count = 100_000
    rows = [{"user": str(n), "age": n, "price": 0.5} for n in range(count)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    small: list[int] = []
    large: list[Any] = []

    def ask_large(body: Any, headers: dict[str, str] | None = None) -> None:
        large.append(conformance_server.predict("multi", body, headers=headers, timeout=120))

    packed = gzip.compress(json.dumps({"inputs": columns}).encode(), 1)
    threads = [
        http_tools.Thread(target=ask_large, args=({"instances": rows},)),
        http_tools.Thread(target=ask_large, args=(packed, {"Content-Encoding": "gzip"})),
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        small.append(conformance_server.predict("half_plus_two", {"instances": [1.0]}).status)
    for thread in threads:
        thread.join()
    assert set(small) == {200}
    for answer in large:
        assert answer.status == 200
        found = answer.json
        if "outputs" in found:
            cvr, tags = found["outputs"]["cvr"], found["outputs"]["tag_bytes"]
        else:
            cvr, tags = ([row[key] for row in found["predictions"]] for key in ("cvr", "tag_bytes"))
        assert len(cvr) == len(tags) == count
        assert [round(value - 0.5, 1) for value in cvr[::9999]] == [
            round(0.01 * n, 1) for n in range(0, count, 9999)
        ]
        assert tags[0] == {"b64": "MCE="}
        assert tags[-1] == {"b64": "OTk5OTkh"}


def test_one_row_more_is_refused(conformance_server: Any) -> None:
    found = conformance_server.predict("half_plus_two", {"instances": [1.0] * 100_001})
    assert found.status == 400
    assert found.error == "Request has more rows than the server accepts: 100000"


def test_a_late_mistake_in_a_large_request_is_found(conformance_server: Any) -> None:
    rows: list[Any] = [1.0] * 99_999
    found = conformance_server.predict("half_plus_two", {"instances": [*rows, "x"]})
    assert found.error == (
        "Failed to process element: 99999 of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "x" Type: String is not of expected type: float'
    )
