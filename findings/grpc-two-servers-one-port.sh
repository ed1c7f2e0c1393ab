#!/usr/bin/env bash
# Two Python gRPC servers bind one port; the second start is no error, and calls are shared out.
#
# Guess:  the second server ends with "address already in use", as any HTTP server does.
# Found:  grpcio 1.76.0, Linux: both add_insecure_port return the port, both start, and of 40
#         fresh connections each server answers some (SO_REUSEPORT is on unless told otherwise).
#         A forgotten server of yesterday's model goes on answering a share of today's requests.
# Cure:   options=[("grpc.so_reuseport", 0)], with which the second bind raises RuntimeError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check grpcio==1.76.0
"$work/v/bin/python" - <<'PY'
from concurrent import futures

import grpc


def server(answer, port, options=()):
    made = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
    bound = made.add_insecure_port(f"127.0.0.1:{port}")
    made.start()
    return made, bound


old, port = server(b"old", 0)
new, same = server(b"new", port)
answers = set()
for i in range(200):
    # its own subchannel pool: a fresh connection each time
    with grpc.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        answers.add(channel.unary_unary("/s/m")(b"", timeout=10))
    if len(answers) == 2:
        break
print("ports", port, same, "answers", sorted(answers))
assert same == port, "the second bind is no longer accepted"
assert answers == {b"old", b"new"}, "calls are no longer shared out"
try:
    server(b"third", port, [("grpc.so_reuseport", 0)])
except RuntimeError as error:
    print("with so_reuseport 0:", error)
else:
    raise AssertionError("so_reuseport 0 no longer refuses")
old.stop(0)
new.stop(0)
PY
