"""What can go wrong in the SDK: a stable code, and a sentence for people in Chinese and English."""

import aiohttp

from signaling.protocol.replies import Error, Goodbye


class KelianError(Exception):
    """The root of all. `code` is stable (docs/errors.md; the SDK's own are in docs/sdk.md)."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{code}: {en}")
        self.code = code
        self.zh = zh
        self.en = en


class Refused(KelianError):
    """The server refused one request; nothing else changed."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.code, error.zh, error.en)
        self.retry_after_ms = error.retry_after_ms


class Dismissed(KelianError):
    """The server said goodbye for good: the lesson ended, the participant was removed or replaced."""

    def __init__(self, goodbye: Goodbye) -> None:
        super().__init__(goodbye.code, goodbye.zh, goodbye.en)


class ConnectionLost(KelianError):
    """No server there, or it went away before it answered: the request may or may not have been done."""


def not_reached(url: str, error: BaseException) -> ConnectionLost:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ConnectionLost(
            "certificate_untrusted",
            "不信任服务器的证书；如果是自签证书，请用 verify_tls=False 或指定证书文件",
            f"the certificate of {url} is not trusted; for one that it made itself, pass verify_tls=False "
            "or the certificate's file",
        )
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return ConnectionLost(
            "not_a_server",
            f"{url} 不是课联服务器（HTTP {error.status}）",
            f"{url} is no Kelian server (HTTP {error.status})",
        )
    detail = str(error) or type(error).__name__
    return ConnectionLost("not_reached", f"连不上 {url}（{detail}）", f"cannot reach {url}: {detail}")


def line_lost() -> ConnectionLost:
    return ConnectionLost(
        "line_lost", "与服务器的连接断了，正在重连", "the line to the server was lost; connecting again"
    )


def no_media() -> KelianError:
    return KelianError("no_media", "还没有打开音视频连接", "no media connection is open")


def left() -> ConnectionLost:
    return ConnectionLost("left", "已离开课堂", "this participant has left the lesson")
