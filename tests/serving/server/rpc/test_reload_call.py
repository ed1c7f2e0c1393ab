"""Reloading the list of models by gRPC: off, allowed, and within the folders of the start."""

import subprocess
import sys

import grpc
import pytest

from idefn_tf.export.serving_protos import message_class


def refusal(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


@pytest.fixture(scope="module")
def closed(tiny_base, embedded_grpc):
    """A server that allows no reload."""
    return embedded_grpc("--model_name=cvr", f"--model_base_path={tiny_base}")


def reloading(base, *versions):
    """A request for these versions of a model in a folder."""
    request = message_class("ReloadConfigRequest")()
    model = request.config.model_config_list.config.add(
        name="cvr", base_path=str(base), model_platform="tensorflow"
    )
    model.model_version_policy.specific.versions.extend(versions)
    return request.SerializeToString()


def test_models_are_reloaded_where_that_is_allowed(tiny_base, embedded_grpc, tmp_path, closed):
    token = tmp_path / "token"
    token.write_text("secret")
    _, address = embedded_grpc(
        "--model_name=cvr", f"--model_base_path={tiny_base}", f"--bearer_token_file={token}",
        "--allow_grpc_reload",
    )  # fmt: skip
    name = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    with grpc.insecure_channel(closed[1]) as channel:
        refused = channel.unary_unary(name)
        code, said = refusal(lambda: refused(reloading(tiny_base, 1)))
        assert (code, "--allow_grpc_reload" in said) == ("PERMISSION_DENIED", True)
    with grpc.insecure_channel(address) as channel:
        call, shown = channel.unary_unary(name), [("authorization", "Bearer secret")]
        assert refusal(lambda: call(reloading(tiny_base, 1)))[0] == "UNAUTHENTICATED"
        assert call(reloading(tiny_base, 1), metadata=shown) == b"\n\x00"
        code, said = refusal(lambda: call(reloading(tmp_path, 1), metadata=shown))
        assert (code, "must lie under" in said) == ("PERMISSION_DENIED", True)
        code, said = refusal(lambda: call(b"", metadata=shown))
        assert (code, "model_config_list" in said) == ("INVALID_ARGUMENT", True)


@pytest.mark.job
def test_reloading_needs_a_token_on_the_command_line(tiny_base, cli_root):
    found = subprocess.run(
        [sys.executable, "-m", "serving.server", "--port=1", "--allow_grpc_reload",
         "--model_name=cvr", f"--model_base_path={tiny_base}"],
        capture_output=True, text=True, cwd=cli_root, timeout=120,
    )  # fmt: skip
    assert found.returncode == 2
    assert "--allow_grpc_reload needs --port and --bearer_token_file" in found.stderr
