"""The demo lesson: tokens for its bots and visitors, and the block of links that `kelian demo` prints."""

import sys
from typing import NamedTuple

import msgspec

from clients.cli import certificate, links, tokens
from clients.cli.cast import VARIABLE, Cast
from clients.cli.configuration import Configuration
from clients.cli.supervisor import Command
from signaling.log.events import Role

LESSON = "demo"
TITLE = "勾股定理（演示课）"
LECTURER = "王老师"
STUDENTS = ("小明", "小红", "小刚", "小丽", "小华", "小芳")
VISITORS: tuple[tuple[Role, str, str], ...] = (
    ("lecturer", "主讲", "李老师"),
    ("tutor", "辅导", "辅导老师"),
    ("student", "学生", "同学"),
    ("observer", "观摩", "观摩老师"),
)
VISIT_S = 7 * tokens.DAY_S


class Visit(NamedTuple):
    banner: str
    bots: Command


def arrange(configuration: Configuration, own: str, students: int) -> Visit:
    """Signs the tokens. Raises Problem."""

    def token(role: Role, name: str, participant: str) -> str:
        return tokens.issue(
            configuration.keys_file,
            lesson=LESSON, role=role, name=name, ttl_s=VISIT_S, participant=participant,
        )  # fmt: skip

    names = [STUDENTS[place % len(STUDENTS)] for place in range(students)]
    cast = Cast(
        url=own,
        lesson=LESSON,
        title=TITLE,
        authorization=tokens.authorization(configuration.keys_file),
        lecturer=(LECTURER, token("lecturer", LECTURER, "bot-lecturer")),
        students=[
            (name, token("student", name, f"bot-student-{place}"))
            for place, name in enumerate(names, start=1)
        ],
    )
    command = Command(
        name="bots",
        argv=[sys.executable, "-m", "clients.cli.bots"],
        environment={VARIABLE: msgspec.json.encode(cast).decode()},
        vital=False,
    )
    visitors = [(role, zh, token(role, name, f"visitor-{role}")) for role, zh, name in VISITORS]
    return Visit(_banner(configuration, own, visitors), command)


def _banner(configuration: Configuration, own: str, visitors: list[tuple[Role, str, str]]) -> str:
    secure = configuration.tls != "off"
    everywhere = links.for_people(
        configuration.http_host,
        configuration.http_port,
        secure=secure,
        addresses=certificate.local_addresses(),
    )
    lines = [
        "",
        "课联演示课正在进行，请用浏览器打开：",
        "A Kelian demo lesson is running. Open in a browser:",
        "",
    ]
    for role, zh, token in visitors:
        lines += [f"  {zh} {role}", f"    {links.join_link(own, token)}", ""]
    if len(everywhere) > 1:
        lines += [f"局域网 | on your network: replace {own} by {' or '.join(everywhere[1:])}"]
    if configuration.tls == "self":
        lines += [
            "证书由本机自签：浏览器会提示一次，选择“继续前往”即可。"
            " | The certificate is the server's own: browsers warn once; go on.",
        ]
    return "\n".join([*lines, "按 Ctrl-C 结束 | Ctrl-C ends it", ""])
