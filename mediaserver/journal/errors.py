"""What can be wrong with a journal: a file, or what one picture's packets hold."""

from pathlib import Path
from typing import Literal

Code = Literal["journal_foreign", "journal_damaged", "journal_unreadable"]
_SENTENCES: dict[Code, tuple[str, str]] = {
    "journal_foreign": (
        "这个文件不是课联的录制日志。请检查目录。",
        "This file is no journal of Kelian. Check the folder.",
    ),
    "journal_damaged": (
        "录制日志有一处损坏。其余部分仍可导出；请检查磁盘。",
        "The journal is damaged in one place. The rest can still be exported; check the disk.",
    ),
    "journal_unreadable": (
        "读不了录制日志。请检查目录权限和磁盘。",
        "The journal cannot be read. Check the folder's permissions and the disk.",
    ),
}


class JournalError(Exception):
    """`position` is the byte in the file at which it goes wrong."""

    def __init__(self, code: Code, path: Path, position: int, reason: str) -> None:
        super().__init__(f"{path.name}, byte {position}: {reason}")
        self.code = code
        self.path = path
        self.position = position
        self.reason = reason
        self.zh, self.en = _SENTENCES[code]


class Malformed(Exception):
    """Payloads that make no picture: the reason."""
