"""Why there is no recording: a stable code, a sentence for people in two languages."""

from typing import Literal

Code = Literal["no_journal", "nothing_recorded", "export_running", "disk_full", "cannot_write"]
_SENTENCES: dict[Code, tuple[str, str]] = {
    "no_journal": (
        "这节课没有录制日志。请检查课堂编号和数据目录。",
        "There is no journal of this lesson. Check the lesson's id and the data folder.",
    ),
    "nothing_recorded": (
        "录制日志里没有可用的画面或声音。",
        "The journal holds no picture or sound that can be used.",
    ),
    "export_running": (
        "这个目录里正在导出。请等它完成。",
        "Another export into this folder is running. Wait until it is done.",
    ),
    "disk_full": (
        "磁盘已满，没有导出；以前的导出仍在。请腾出空间后再试。",
        "The disk is full, and nothing was exported; earlier exports are still there. "
        "Free some space, then try again.",
    ),
    "cannot_write": (
        "导出目录不能写入。请检查权限，或用 --to 另选。",
        "The export cannot be written there. Check the folder's permissions, or choose another with --to.",
    ),
}


class RecordingError(Exception):
    def __init__(self, code: Code, reason: str = "") -> None:
        super().__init__(f"{code}: {reason}" if reason else code)
        self.code = code
        self.zh, self.en = _SENTENCES[code]
