"""Every code with which something is refused or closed, and what people read (docs/errors.md).

Codes are stable: clients may compare them. Each sentence says what happened and what to do next,
in Chinese and English. `{names}` in a sentence are filled from the refusal's detail; a name that
is not given is left out quietly.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TABLE_HEAD = "| code | HTTP | 中文 | English |"


class Sentence(NamedTuple):
    status: int  # of HTTP doors (RFC 9110)
    zh: str
    en: str


CATALOGUE: dict[str, Sentence] = {
    # --- the message ------------------------------------------------------------------------
    "bad_message": Sentence(
        400, "服务器读不懂这条消息。请刷新页面；仍不行请联系技术员。",
        "The server cannot read this message. Reload the page; if it stays, tell your technician."),
    "unknown_type": Sentence(
        400, "服务器不认识这种请求。页面可能比服务器新，请刷新页面。",
        "The server does not know this kind of request. The page may be newer than the server: reload it."),
    "unsupported_version": Sentence(
        400, "页面与服务器的版本不一致。请刷新页面。",
        "The page and the server speak different versions. Reload the page."),
    "too_large": Sentence(
        413, "发送的内容太大，服务器没有接收。请减少内容后再试。",
        "That was too large, and the server did not take it. Send less and try again."),
    "rate_limited": Sentence(
        429, "操作太快了，请稍等几秒再试。",
        "That was too fast. Wait a few seconds and try again."),
    "not_hello": Sentence(
        401, "连接还没有出示入课凭证。请刷新页面。",
        "This connection has not shown its token yet. Reload the page."),
    "hello_timeout": Sentence(
        408, "连接后没有及时出示入课凭证，已断开。请检查网络后刷新页面。",
        "No token came in time after connecting. Check the network and reload the page."),
    # --- the token --------------------------------------------------------------------------
    "token_missing": Sentence(
        401, "没有入课凭证。请用学校发给您的完整链接打开。",
        "There is no access token. Open the whole link that your school gave you."),
    "token_expired": Sentence(
        401, "入课链接已过期。请向老师或学校索取新的链接。",
        "The link to this lesson has expired. Ask your teacher or school for a new one."),
    "token_not_yet": Sentence(
        401, "入课链接还没有生效。请到上课时间再打开，并检查本机时间是否正确。",
        "The link to this lesson is not valid yet. Open it at lesson time, and check this device's clock."),
    "token_invalid": Sentence(
        401, "入课链接无效。请检查链接是否完整，或索取新的链接。",
        "The link to this lesson is not valid. Check that it is complete, or ask for a new one."),
    "token_wrong_lesson": Sentence(
        403, "这个链接是另一节课的。请打开本节课的链接。",
        "This link is for another lesson. Open the link of this one."),
    "bad_key": Sentence(
        401, "接口密钥不正确。请检查学校系统中的密钥设置。",
        "The API key or its secret is wrong. Check the keys in the school's own system."),
    # --- the lesson -------------------------------------------------------------------------
    "no_such_lesson": Sentence(
        404, "没有这节课。请检查链接，或等老师开课。",
        "There is no such lesson. Check the link, or wait for the teacher to open it."),
    "lesson_exists": Sentence(
        409, "已有同名的课正在进行。请换一个编号，或先结束那节课。",
        "A lesson with this id is open already. Take another id, or end that lesson first."),
    "lesson_not_started": Sentence(
        503, "主讲老师还没有到，请稍候，开课后会自动进入。",
        "The lecturer has not come yet. Wait here: you will be let in when the lesson starts."),
    "lesson_ended": Sentence(
        410, "这节课已经结束。",
        "This lesson is over."),
    "lesson_full": Sentence(
        503, "这节课的人数已满，请稍后再试或联系老师。",
        "This lesson is full. Try again later, or tell the teacher."),
    "codec_fixed": Sentence(
        409, "已有人开始发送画面，本节课的视频格式（{codec}）不能再改。请在开课前更改。",
        "Somebody already sends, so this lesson's video codec ({codec}) can no longer change. "
        "Change it before the lesson."),
    # --- people -----------------------------------------------------------------------------
    "forbidden": Sentence(
        403, "您的身份不能进行这项操作。如有需要，请联系主讲老师。",
        "Your role may not do this. Ask the lecturer if you need it."),
    "not_present": Sentence(
        409, "您还没有进入这节课。请刷新页面重新进入。",
        "You are not in the lesson. Reload the page to enter it again."),
    "other_role": Sentence(
        409, "您已用另一身份（{role}）进入这节课。请先在那边离开，再用这个链接进入。",
        "You are in this lesson already in another role ({role}). Leave there first, then open this link."),
    "no_such_participant": Sentence(
        404, "这位参与者不在课堂里，可能刚刚离开。",
        "This participant is not in the lesson; they may just have left."),
    "too_many_connections": Sentence(
        429, "您打开的页面太多了。请关闭其他页面后再试。",
        "You have too many pages open. Close some of them and try again."),
    # --- hands and stage --------------------------------------------------------------------
    "already_on_stage": Sentence(
        409, "已经在台上了。",
        "Already on stage."),
    "not_on_stage": Sentence(
        409, "不在台上，可能刚刚下台。请先上台。",
        "Not on stage, perhaps no longer. Bring them up first."),
    "stage_full": Sentence(
        409, "台上已满（最多 {capacity} 位）。请先请一位下台。",
        "The stage is full ({capacity} at most). Take somebody down first."),
    "not_for_stage": Sentence(
        409, "这位参与者的身份不能上台。",
        "Participants of this role cannot come on stage."),
    # --- sending ----------------------------------------------------------------------------
    "cannot_send": Sentence(
        403, "这个身份不能发送这类画面或声音。",
        "This role may not send this kind of picture or sound."),
    "muted_by_staff": Sentence(
        409, "老师已将您静音。请举手请老师取消静音。",
        "A teacher has muted you. Raise your hand and ask to be unmuted."),
    "muted_by_self": Sentence(
        409, "对方自己关闭了，只有本人能打开。请提醒对方打开。",
        "They muted this themselves, and only they can unmute it. Ask them to."),
    # --- chat and quiz ----------------------------------------------------------------------
    "chat_with_teachers_only": Sentence(
        403, "私信只能发给老师。请发给老师，或在公共聊天中发言。",
        "Private messages go to teachers only. Write to a teacher, or to everybody."),
    "no_such_quiz": Sentence(
        404, "没有这道题，可能已经换成新题。",
        "There is no such question; a newer one may have taken its place."),
    "quiz_open": Sentence(
        409, "上一道题还在作答。请先结束作答，再出新题。",
        "A question is still open. Close it before you ask another."),
    "quiz_closed": Sentence(
        409, "这道题已经结束作答。",
        "This question is closed."),
    "bad_choice": Sentence(
        400, "答案不在选项里，或单选题选了多项。请重新选择。",
        "The answer is not among the options, or there is more than one for a single choice. Choose again."),
    # --- media sessions ---------------------------------------------------------------------
    "no_such_session": Sentence(
        404, "这个音视频连接已不存在。页面会自动重新连接。",
        "This media session is gone. The page connects again by itself."),
    "not_your_session": Sentence(
        403, "这个音视频连接不属于您。请用自己的链接重新打开页面。",
        "This media session is not yours. Open the page again with your own link."),
    "too_many_sessions": Sentence(
        429, "您的音视频连接太多了。请关闭其他页面或设备后再试。",
        "You have too many media sessions. Close other pages or devices and try again."),
    "bad_sdp": Sentence(
        400, "浏览器或编码器发来的媒体描述有误，服务器读不懂。请更新浏览器或编码器。",
        "The media description (SDP) of this browser or encoder is broken. Update the browser or encoder."),
    "no_bundle": Sentence(
        400, "媒体描述没有把各路媒体合并传输（BUNDLE）。请更新浏览器或编码器。",
        "The media description does not bundle its media (BUNDLE). Update the browser or encoder."),
    "no_rtcp_mux": Sentence(
        400, "媒体描述没有启用 rtcp-mux。请更新浏览器或编码器。",
        "The media description lacks rtcp-mux. Update the browser or encoder."),
    "no_ice": Sentence(
        400, "媒体描述缺少 ICE 信息。请更新浏览器或编码器。",
        "The media description has no ICE credentials. Update the browser or encoder."),
    "no_fingerprint": Sentence(
        400, "媒体描述缺少加密指纹。请更新浏览器或编码器。",
        "The media description has no DTLS fingerprint. Update the browser or encoder."),
    "bad_setup": Sentence(
        400, "媒体描述中的加密握手方向有误。请更新浏览器或编码器。",
        "The media description asks for an impossible DTLS role. Update the browser or encoder."),
    "bad_label": Sentence(
        400, "页面给媒体的标记有误。请刷新页面。",
        "The page labelled its media wrongly. Reload the page."),
    "too_many_sections": Sentence(
        400, "媒体描述的路数太多。请刷新页面；编码器请减少路数。",
        "The media description has too many sections. Reload the page; encoders: send fewer tracks."),
    "offer_too_large": Sentence(
        413, "媒体描述太大。请刷新页面，或更新浏览器。",
        "The media description is too large. Reload the page, or update the browser."),
    "codec_not_offered": Sentence(
        406, "您的浏览器或编码器不能发送本节课的视频格式；仍可观看。要发送请换用新版 Chrome 或 Edge。",
        "This browser or encoder cannot send this lesson's video codec; watching still works. "
        "To send, use a current Chrome or Edge."),
    "codec_cannot_decode": Sentence(
        406, "您的浏览器不能播放本节课的视频格式。请换用最新版 Chrome、Edge 或 Safari 打开。",
        "This browser cannot play this lesson's video codec. "
        "Open the lesson in a current Chrome, Edge or Safari."),
    "nothing_to_carry": Sentence(
        400, "媒体描述里没有可用的音视频。请检查编码器的设置。",
        "The media description has nothing that this role can send or watch. Check the encoder's settings."),
    "offer_changed": Sentence(
        409, "重连时媒体描述变了，服务器没有接受。页面会重新建立连接。",
        "The media description changed while reconnecting, and was not taken. "
        "The page sets up a new connection by itself."),
    "session_taken": Sentence(
        409, "这个音视频连接的编号已被占用。页面会重新建立连接。",
        "This media session's id is in use elsewhere. The page sets up a new connection by itself."),
    "source_taken": Sentence(
        409, "媒体编号已被占用。页面会重新建立连接；若反复出现，请联系技术员。",
        "A source id is in use already. The page connects again by itself; "
        "if it repeats, tell your technician."),
    "media_node_unavailable": Sentence(
        503, "音视频服务正在恢复，页面会自动重连。若超过一分钟，请联系技术员。",
        "The media service is coming back, and the page connects again by itself. "
        "If it takes over a minute, tell your technician."),
    "media_overloaded": Sentence(
        503, "音视频服务已满负荷，请稍后再试，并告知技术员。",
        "The media service is fully loaded. Try again later, and tell your technician."),
    # --- HTTP -------------------------------------------------------------------------------
    "not_found": Sentence(
        404, "没有这个地址。请检查链接。",
        "There is nothing at this address. Check the link."),
    "method_not_allowed": Sentence(
        405, "这个地址不支持这种请求。请对照接口文档。",
        "This address does not take that method. See the API's documentation."),
    "unsupported_media_type": Sentence(
        415, "内容类型不对，WHIP 与 WHEP 需要 application/sdp，接口需要 application/json。",
        "Wrong content type: WHIP and WHEP take application/sdp, the API takes application/json."),
    "unprocessable": Sentence(
        422, "请求的内容不完整或有误。请对照接口文档。",
        "The request is incomplete or wrong. See the API's documentation."),
    "precondition_required": Sentence(
        428, "请求缺少 If-Match 标头。请更新编码器或播放器。",
        "The request lacks an If-Match header. Update the encoder or player."),
    "precondition_failed": Sentence(
        412, "连接的状态已经改变（ETag 不符）。请重新建立连接。",
        "The session has changed since (ETag does not match). Set it up again."),
    # --- closing ----------------------------------------------------------------------------
    "slow_client": Sentence(
        503, "网络太慢，消息积压过多，已断开。页面会自动重连；请检查网络。",
        "The network was too slow to keep up, and the connection was closed. "
        "The page connects again by itself; check the network."),
    "replaced": Sentence(
        409, "您已在别处打开这节课，此页面已断开。要在这里继续，请刷新页面。",
        "You opened this lesson elsewhere, and this page was disconnected. Reload to go on here."),
    "removed": Sentence(
        403, "您已被请出课堂。如有疑问，请联系老师。",
        "You were removed from the lesson. Ask the teacher if you think this is wrong."),
    "left": Sentence(
        200, "您已离开课堂。",
        "You have left the lesson."),
    "server_restarting": Sentence(
        503, "服务器正在重启，页面会自动重连，请稍候。",
        "The server is restarting; the page connects again by itself. Please wait."),
    # --- the server's own troubles ----------------------------------------------------------
    "store_corrupt": Sentence(
        500, "课堂数据库已损坏。请停止服务，备份数据目录，再用 sqlite3 的 .recover 修复或从备份恢复。",
        "The lessons' database is damaged. Stop the server, copy the data directory, then repair it with "
        "sqlite3's .recover or restore a backup."),
    "store_too_new": Sentence(
        500, "课堂数据库由更新的版本写成。请升级本程序。",
        "The lessons' database was written by a newer version. Upgrade this program."),
    "store_unavailable": Sentence(
        503, "课堂数据库无法读写。请检查磁盘空间和目录权限。",
        "The lessons' database cannot be read or written. Check the disk's free space and the directory's "
        "permissions."),
    "position_taken": Sentence(
        500, "另一个进程也在写这节课的记录。请只运行一个信令服务。",
        "Another process writes this lesson's log, too. "
        "Run only one signaling server on one data directory."),
    "keys_unusable": Sentence(
        500, "接口密钥文件不能使用。请检查其内容和权限（应为 0600）。",
        "The file of API keys cannot be used. Check its content and mode (0600)."),
    "internal": Sentence(
        500, "服务器出了意外。请重试；仍不行请联系技术员。",
        "Something unexpected happened on the server. Try again; if it stays, tell your technician."),
}  # fmt: skip

ROLE_NAMES_ZH = {
    "lecturer": "主讲", "tutor": "辅导", "classroom": "教室", "student": "学生", "observer": "观摩",
    "inspector": "巡课", "researcher": "教研员", "parent": "家长", "technician": "技术员", "ops": "运维",
}  # fmt: skip


class KelianError(Exception):
    """An error with a code of the catalogue; `detail` fills its sentence."""

    def __init__(self, code: str, **detail: str | int) -> None:
        self.code = code
        self.detail: dict[str, str | int] = detail
        parts = [f"{name}={value}" for name, value in detail.items()]
        super().__init__(" ".join([f"{code}: {sentence(code, **detail)[1]}", *parts]))


def sentence(code: str, **detail: str | int) -> tuple[str, str]:
    """(zh, en). A code that is not in the catalogue (a newer media node's) is told as `internal`."""
    found = CATALOGUE.get(code, CATALOGUE["internal"])
    return _filled(found.zh, _chinese(detail)), _filled(found.en, detail)


def status(code: str) -> int:
    """The HTTP status that goes with a code."""
    return CATALOGUE.get(code, CATALOGUE["internal"]).status


def table() -> str:
    """The catalogue as docs/errors.md shows it."""
    rows = [f"| `{code}` | {it.status} | {it.zh} | {it.en} |" for code, it in sorted(CATALOGUE.items())]
    return "\n".join([TABLE_HEAD, "|---|---|---|---|", *rows]) + "\n"


class _Quiet(dict[str, str | int]):
    def __missing__(self, name: str) -> str:
        return "…"


def _filled(text: str, detail: Mapping[str, str | int]) -> str:
    return text.format_map(_Quiet(detail))


def _chinese(detail: Mapping[str, str | int]) -> dict[str, str | int]:
    role = detail.get("role")
    return {**detail, "role": ROLE_NAMES_ZH.get(str(role), str(role))} if role is not None else dict(detail)


def _write_document() -> None:
    """`python -m signaling.errors`: renews the table in docs/errors.md."""
    document = Path(__file__).parent.parent / "docs" / "errors.md"
    preface = document.read_text().partition(TABLE_HEAD)[0]
    document.write_text(preface + table())


if __name__ == "__main__":
    _write_document()
