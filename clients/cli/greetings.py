"""What a technician reads when the server is up: where everything is, and what to do next."""

import shlex
from pathlib import Path

from clients.cli import certificate, links
from clients.cli.configuration import Configuration
from mediaserver.channel.address import TcpAddress, parse_address


def server(configuration: Configuration) -> str:
    """For `kelian serve`."""
    data = Path(configuration.data).absolute()
    pages = links.for_people(
        configuration.http_host,
        configuration.http_port,
        secure=configuration.tls != "off",
        addresses=certificate.local_addresses(),
    )
    rows = [
        ("网页 pages", "  ".join(pages)),
        ("数据 data", f"{data}  （请备份 back it up）"),
        ("证书 certificate", _certificate(configuration, data)),
        ("密钥 API keys", f"{configuration.keys_file.absolute()}  （请保密 keep it secret）"),
        ("端口 open ports", _ports(configuration)),
    ]
    if configuration.node:
        rows.append(("媒体 media node", configuration.node))
    keys = f" --api-keys {shlex.quote(configuration.api_keys)}" if configuration.api_keys else ""
    token = (
        f"kelian token --data {shlex.quote(str(data))}{keys} --lesson maths-1 --role lecturer --name 王老师"
    )
    rows += [("凭证 a token", token), ("入课 a link", f"{pages[0]}/#/join/TOKEN")]
    return _block("课联已启动，按 Ctrl-C 停止 | Kelian is up; Ctrl-C stops it", rows)


def node(configuration: Configuration) -> str:
    """For `kelian node`."""
    where = parse_address(configuration.channel)
    rows = [("信令通道 channel", f"{configuration.channel}  （只对信令服务器开放 open to signaling only）")]
    if isinstance(where, TcpAddress):
        here = (
            next(iter(certificate.local_addresses()), "HOST")
            if where.host in ("0.0.0.0", "::")
            else where.host
        )
        host = f"[{here}]" if ":" in here else here
        rows.append(
            (
                "信令服务器 signaling",
                f"kelian serve --node tcp:{host}:{where.port} --channel-secret-file FILE",
            )
        )
    rows.append(("端口 open ports", f"UDP {configuration.media_port}"))
    return _block("媒体节点已启动，按 Ctrl-C 停止 | The media node is up; Ctrl-C stops it", rows)


def _certificate(configuration: Configuration, data: Path) -> str:
    if configuration.tls == "off":
        return "无：摄像头只在 localhost 或 HTTPS 代理后可用 none: cameras need localhost or an HTTPS proxy"
    own = configuration.tls_files
    if own is not None:
        return own[0]
    return f"{data / 'tls' / 'certificate.pem'}  （自签，浏览器会提示 self-made: browsers warn once）"


def _ports(configuration: Configuration) -> str:
    http = f"TCP {configuration.http_port}"
    if configuration.node:
        return f"{http}；音视频端口在媒体节点上 media ports are on the node"
    return f"{http}，UDP {configuration.media_port}"


def _block(head: str, rows: list[tuple[str, str]]) -> str:
    width = max(_width(name) for name, _ in rows)
    lines = [f"  {name}{' ' * (width - _width(name))}  {text}" for name, text in rows]
    return "\n".join(["", head, *lines, ""])


def _width(text: str) -> int:
    """Columns on a terminal: Chinese takes two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in text)
