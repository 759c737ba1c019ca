"""The configuration of `kelian serve`: one table of keys, each also a flag and a KELIAN_ variable.

A flag wins over the environment, the environment over the file, the file over the default
(docs/configuration.md). `merge` is pure: it is given all three and returns a Configuration.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from clients.cli.errors import BAD_CONFIGURATION, Problem
from signaling.config import Limits

CODECS = ("h264", "vp8")
SWITCH = ("on", "off")
LEVELS = ("debug", "info", "warning", "error")


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    data: str = "data"
    http: str = "0.0.0.0:7880"
    media_port: int = 7882
    announce: tuple[str, ...] = ()
    tls: str = "self"
    codec: str = "h264"
    record: str = "off"
    api_keys: str = ""
    web_root: str = ""
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ("*",)
    log_level: str = "info"
    node: str = ""
    channel: str = "tcp:0.0.0.0:7883"
    channel_secret_file: str = ""
    channel_secret: str = ""
    limits: Limits = Limits()

    @property
    def http_host(self) -> str:
        return split_address(self.http)[0]

    @property
    def http_port(self) -> int:
        return split_address(self.http)[1]

    @property
    def tls_files(self) -> tuple[str, str] | None:
        """The school's own certificate and key, if given."""
        if self.tls in ("self", "off"):
            return None
        certificate, _, key = self.tls.partition(",")
        return certificate.strip(), key.strip()

    @property
    def keys_file(self) -> Path:
        return Path(self.api_keys) if self.api_keys else Path(self.data) / "keys.toml"


class Key(msgspec.Struct, frozen=True):
    """One key: in the file `name`, as a flag `--name` with dashes, in the environment KELIAN_NAME."""

    name: str
    metavar: str
    zh: str
    en: str
    secret: bool = False  # then there is no flag: the arguments of a process are for all to see

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "KELIAN_" + self.name.upper()


KEYS = (
    Key("data", "DIR", "数据目录", "folder for lessons, keys and certificates"),
    Key("http", "HOST:PORT", "网页与接口的地址", "where pages and the API are served"),
    Key("media_port", "PORT", "音视频的 UDP 端口", "UDP port for sound and pictures"),
    Key("announce", "ADDR", "告知客户端的地址，可多次", "address told to clients; may be repeated"),
    Key("tls", "self|off|CERT,KEY", "证书：自签、关闭或文件", "own certificate, none, or two PEM files"),
    Key("codec", "h264|vp8", "新课堂的视频编码", "video codec of new lessons"),
    Key("record", "on|off", "新课堂是否从头录制", "record new lessons from their start"),
    Key("api_keys", "FILE", "接口密钥文件", "file with API keys; default DATA/keys.toml"),
    Key("web_root", "DIR", "网页目录", "built pages, if not those of this package"),
    Key("trusted_proxies", "ADDR", "可信的反向代理，可多次", "proxy whose X-Forwarded headers are believed"),
    Key("cors_origins", "ORIGIN", "允许跨域的来源，可多次", "origin that may use WHIP and WHEP"),
    Key("log_level", "LEVEL", "日志级别", "debug, info, warning or error"),
    Key("node", "tcp:HOST:PORT", "另一台机器上的媒体节点", "media node elsewhere; default: one of its own"),
    Key("channel", "tcp:HOST:PORT", "媒体节点等待信令的地址", "where `kelian node` waits for signaling"),
    Key("channel_secret_file", "FILE", "两者之间的口令文件", "file with the secret that guards the channel"),
    Key("channel_secret", "SECRET", "两者之间的口令", "the secret itself", secret=True),
)
LISTS = frozenset({"announce", "trusted_proxies", "cors_origins"})
LIMITS = "limits"  # the file's one table
OF_NODE = frozenset({"media_port", "announce", "log_level", "channel", "channel_secret_file"})
OF_SERVER = frozenset(key.name for key in KEYS if not key.secret and key.name != "channel")


def options(function: Callable[..., Any], names: frozenset[str] = OF_SERVER) -> Callable[..., Any]:
    """Decorates a click command with --config and these keys as flags."""
    for key in reversed([key for key in KEYS if key.name in names]):
        function = click.option(
            key.flag, key.name, metavar=key.metavar, multiple=key.name in LISTS, help=f"{key.zh} | {key.en}"
        )(function)
    return click.option("--config", metavar="FILE", help="TOML 配置文件 | configuration file (TOML)")(
        function
    )


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Configuration:
    """Reads the file that --config or KELIAN_CONFIG names, and merges. Raises Problem."""
    path = flags.get("config") or environ.get("KELIAN_CONFIG")
    file = read_file(Path(path)) if path else {}
    return merge({name: value for name, value in flags.items() if name != "config"}, environ, file)


def read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise bad(f"读不了配置文件 {path}", f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise bad(f"配置文件 {path} 不是合法的 TOML", f"{path} is not valid TOML: {error}") from error


def merge(flags: Mapping[str, Any], environ: Mapping[str, str], file: Mapping[str, Any]) -> Configuration:
    """Flags that were not given are None or empty. Raises Problem on an unknown key or a bad value."""
    names = {key.name for key in KEYS} | {LIMITS}
    for name in file:
        if name not in names:
            known = ", ".join(sorted(names))
            raise bad(f"配置文件里有不认识的键“{name}”", f"unknown key {name!r} in the file; known: {known}")
    values: dict[str, Any] = {}
    for key in KEYS:
        given = flags.get(key.name)
        if given is not None and given != ():
            values[key.name] = _value(key, given, key.flag)
        elif key.variable in environ:
            values[key.name] = _value(key, environ[key.variable], key.variable)
        elif key.name in file:
            values[key.name] = _value(key, file[key.name], key.name)
    if LIMITS in file:
        values[LIMITS] = _limits(file[LIMITS])
    configuration = Configuration(**values)
    _check(configuration)
    return configuration


def bad(zh: str, en: str) -> Problem:
    """The configuration cannot be used: both sentences name the key."""
    return Problem(BAD_CONFIGURATION, zh, en)


def split_address(address: str) -> tuple[str, int]:
    """ "0.0.0.0:7880", "[::]:7880" or ":7880" (all addresses). ValueError otherwise."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ValueError(address)
    return host.strip("[]") or "0.0.0.0", int(port)


def _value(key: Key, given: Any, where: str) -> Any:
    if key.name in LISTS:
        parts: Sequence[Any] = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise bad(f"{where} 应为一组文字", f"{where} must be a list of strings")
        return tuple(part.strip() for part in parts if part.strip())
    if key.name == "media_port":
        if isinstance(given, bool) or not str(given).isdigit() or not 0 <= int(given) <= 65535:
            raise bad(f"{where} 应为 0 到 65535 的端口", f"{where} must be a port from 0 to 65535")
        return int(given)
    if not isinstance(given, str):
        raise bad(f"{where} 应为文字", f"{where} must be a string")
    return given


def _limits(table: Any) -> Limits:
    """The file's [limits], as signaling checks them."""
    try:
        return msgspec.convert(table, Limits)
    except msgspec.ValidationError as error:
        known = ", ".join(Limits.__struct_fields__)
        hint = f"; known: {known}" if "unknown field" in str(error) and "at `$" not in str(error) else ""
        raise bad("配置文件的 [limits] 有误", f"[limits]: {error}{hint}") from error


def _check(configuration: Configuration) -> None:
    try:
        split_address(configuration.http)
    except ValueError:
        raise bad(
            f"http 应为“主机:端口”，而不是“{configuration.http}”",
            f"http must be HOST:PORT, not {configuration.http!r} (IPv6 in brackets: [::]:7880)",
        ) from None
    for name, value, allowed in (
        ("codec", configuration.codec, CODECS),
        ("record", configuration.record, SWITCH),
        ("log_level", configuration.log_level, LEVELS),
    ):
        if value not in allowed:
            raise bad(
                f"{name} 没有“{value}”这个值", f"{name} must be one of {', '.join(allowed)}, not {value!r}"
            )
    files = configuration.tls_files
    if files is None:
        return
    if not all(files):
        raise bad(
            f"tls 应为 self、off 或“证书,私钥”，而不是“{configuration.tls}”",
            f"tls must be self, off or CERT,KEY (two PEM files), not {configuration.tls!r}",
        )
    for path in files:
        if not Path(path).is_file():
            raise bad(f"找不到证书文件 {path}", f"no such certificate file: {path}")
