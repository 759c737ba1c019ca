"""A flag wins over the environment, the environment over the file, the file over the default."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from clients.cli.configuration import KEYS, LIMITS, Configuration, load, merge, split_address
from clients.cli.errors import BAD_CONFIGURATION, Problem
from signaling.config import Limits, Rate

ROOT = Path(__file__).parents[2]


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
    assert [*(key.name for key in KEYS), LIMITS] == list(Configuration.__struct_fields__)


def test_limits_are_a_table_of_the_file() -> None:
    table = {"sessions_per_participant": 3, "chat": {"per_s": 2, "burst": 5}}
    limits = merge({}, {}, {"limits": table}).limits
    assert limits.sessions_per_participant == 3
    assert (limits.chat.per_s, limits.chat.burst) == (2, 5)
    assert limits.offers == Limits().offers


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
        ({}, {"limits": {"sesions": 1}}, "`sesions`; known: message_bytes"),
        ({}, {"limits": {"offer_bytes": 0}}, "`$.offer_bytes`"),
        ({}, {"limits": {"offer_bytes": "5"}}, "`$.offer_bytes`"),
        ({}, {"limits": {"chat": {"per_s": 1}}}, "`burst` - at `$.chat`"),
        ({}, {"limits": {"chat": {"per_s": 1, "burst": 1, "x": 1}}}, "`x` - at `$.chat`"),
        ({}, {"limits": 5}, "[limits]"),
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
    document = (ROOT / "docs" / "configuration.md").read_text()
    for key in KEYS:
        flag = "none" if key.secret else f"`{key.flag}`"
        assert f"| `{key.name}` | {flag} | `{key.variable}` |" in document
    example = (ROOT / "deploy" / "kelian.toml").read_text()
    lines = [line.removeprefix("# ") for line in example.splitlines() if " = " in line or "[limits]" in line]
    merged = merge({}, {}, tomllib.loads("\n".join(lines)))
    assert merged.announce == ("203.0.113.7",)
    assert merged.limits == Limits()


def test_the_document_lists_every_limit_with_its_default() -> None:
    document = (ROOT / "docs" / "configuration.md").read_text()
    table = document.split("| key in `[limits]` |")[1]
    written = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, re.MULTILINE)
    assert written == [(name, as_toml(value)) for name, value in msgspec.structs.asdict(Limits()).items()]


def as_toml(value: int | Rate) -> str:
    if isinstance(value, Rate):
        return f"{{ per_s = {value.per_s:g}, burst = {value.burst} }}"
    return str(value)
