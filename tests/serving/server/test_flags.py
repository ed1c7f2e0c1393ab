"""The command line: TensorFlow Serving's flags, and what is wrong said in one line."""

import subprocess
import sys

import pytest

from serving.server import flags as command_line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --model_base_path"),
        (["--model_base_path=x", "--oops=1"], "unrecognized arguments: --oops=1"),
        (["--model_base_path=x", "--rest_api_max_rows=0"], "must be 1 or more"),
        (["--model_base_path=x", "--enable_batching=maybe"], "expected true or false"),
        (["--model_base_path=x", "--ssl_certfile=c"], "go together"),
        (["--model_base_path=x", "--batching_parameters_file=b"], "needs --enable_batching"),
        (["--model_base_path=x", "--ssl_ca_certs=c"], "needs --ssl_certfile and --ssl_keyfile"),
        (
            ["--model_base_path=x", "--ssl_config_file=s", "--ssl_certfile=c", "--ssl_keyfile=k"],
            "give either --ssl_config_file or --ssl_certfile and --ssl_keyfile",
        ),
        (["--model_base_path=x", "--grpc_socket_path=g"], "--grpc_socket_path needs --port"),
        (
            ["--model_base_path=x", "--port=8500", "--allow_grpc_reload"],
            "--allow_grpc_reload needs --port and --bearer_token_file",
        ),
    ],
)
def test_a_wrong_command_line_says_why(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command_line.parse(flags)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_flags_of_tensorflow_model_server_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = command_line.parse(
        [
            "--port=8500",
            "--rest_api_port",
            "8501",
            "--model_name=m",
            "--model_base_path",
            "/m",
            "--enable_batching",
            "--rest_api_timeout_in_ms=100",
            "--rest_api_num_threads=16",
            "--num_load_threads=2",
            "--enable_model_warmup=false",
            "--grpc_max_threads=4",
            "--flush_filesystem_caches",
            "--tensorflow_session_parallelism=2",
            "--allow_version_labels_for_unavailable_models",
        ]
    )
    assert found.enable_batching is True
    assert found.enable_model_warmup is False
    assert found.allow_version_labels_for_unavailable_models is True
    assert command_line.limits(found).timeout_seconds == 0.1


@pytest.mark.slow
def test_help_is_quick_and_needs_no_tensorflow() -> None:
    program = (
        "import sys; from serving.server import __main__ as m\n"
        "try: m.main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
