"""A flag wins over the environment, the environment over the file, the file over the default."""

import tomllib
from pathlib import Path

import pytest

from clients.cli.configuration import KEYS, Configuration, load, merge, split_address
from clients.cli.errors import BAD_CONFIGURATION, Problem


def test_defaults() -> None:
    assert merge({}, {}, {}) == Configuration()
    assert (Configuration().http_host, Configuration().http_port) == ("0.0.0.0", 7880)


def test_precedence() -> None:
    file = {"codec": "vp8", "media_port": 1000, "data": "from-file"}
    environ = {"KELIAN_MEDIA_PORT": "2000", "KELIAN_DATA": "from-environment"}
    flags = {"data": "from-flag", "codec": None, "announce": ()}
    merged = merge(flags, environ, file)
    assert (merged.codec, merged.media_port, merged.data) == ("vp8", 2000, "from-flag")


def test_lists_from_flags_variables_and_file() -> None:
    assert merge({"announce": ("192.0.2.1", "192.0.2.2")}, {}, {}).announce == ("192.0.2.1", "192.0.2.2")
    assert merge({}, {"KELIAN_ANNOUNCE": "192.0.2.1, 192.0.2.2"}, {}).announce == ("192.0.2.1", "192.0.2.2")
    assert merge({}, {}, {"announce": ["192.0.2.3"]}).announce == ("192.0.2.3",)


def test_every_key_is_a_field_with_a_default() -> None:
    assert [key.name for key in KEYS] == list(Configuration.__struct_fields__)


@pytest.mark.parametrize(
    ("flags", "file", "says"),
    [
        ({}, {"medai_port": 1}, "medai_port"),
        ({"media_port": "70000"}, {}, "--media-port"),
        ({}, {"media_port": "many"}, "media_port"),
        ({}, {"media_port": True}, "media_port"),
        ({"http": "7880"}, {}, "7880"),
        ({"http": "::1:7880"}, {}, "::1:7880"),
        ({"codec": "av1"}, {}, "h264, vp8"),
        ({"record": "maybe"}, {}, "on, off"),
        ({"tls": "certificate.pem"}, {}, "CERT,KEY"),
        ({"tls": "no-such.pem,no-such.key"}, {}, "no-such.pem"),
        ({}, {"announce": "x,y", "data": 5}, "data"),
        ({}, {"announce": [1]}, "announce"),
        ({"log_level": "loud"}, {}, "log_level"),
    ],
)
def test_bad_values_are_named(flags: dict[str, object], file: dict[str, object], says: str) -> None:
    with pytest.raises(Problem) as caught:
        merge(flags, {}, file)
    assert says in caught.value.en
    assert caught.value.exit_code == BAD_CONFIGURATION
    assert caught.value.zh


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "kelian.toml"
    path.write_text('http = "127.0.0.1:1234"\nannounce = ["203.0.113.7"]\n')
    assert load({"config": str(path)}, {}).http_port == 1234
    assert load({"config": None}, {"KELIAN_CONFIG": str(path)}).announce == ("203.0.113.7",)
    path.write_text("http = ")
    with pytest.raises(Problem, match="not valid TOML"):
        load({"config": str(path)}, {})
    with pytest.raises(Problem, match="cannot read"):
        load({"config": str(tmp_path / "absent.toml")}, {})


def test_addresses() -> None:
    assert split_address("[::]:80") == ("::", 80)
    assert split_address(":80") == ("0.0.0.0", 80)
    assert split_address("localhost:0") == ("localhost", 0)


def test_the_document_lists_every_key() -> None:
    root = Path(__file__).parents[2]
    document = (root / "docs" / "configuration.md").read_text()
    for key in KEYS:
        assert f"| `{key.name}` | `{key.flag}` | `{key.variable}` |" in document
    example = (root / "deploy" / "kelian.toml").read_text()
    lines = [line.removeprefix("# ") for line in example.splitlines() if " = " in line]
    assert merge({}, {}, tomllib.loads("\n".join(lines))).announce == ("203.0.113.7",)
