"""The head of a command line: `python -m NAME`, and the description as it is written."""

from serving.common.command_line import command_parser


def test_the_description_stays_as_it_is_written():
    parser = command_parser("serving.client", "Asks::\n\n    two   words", allow_abbrev=False)
    parser.add_argument("--model")
    told = parser.format_help()
    assert told.startswith("usage: python -m serving.client [-h] [--model MODEL]")
    assert "\nAsks::\n\n    two   words\n" in told
    assert parser.parse_known_args(["--mod", "a"])[1] == ["--mod", "a"]
