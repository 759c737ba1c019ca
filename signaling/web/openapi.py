"""The REST API described for machines (`openapi.json`) and for people (`docs`), from the same table.

The page is plain HTML written here: it needs no network and no script.
"""

import html
from functools import cache
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from signaling import errors
from signaling.web import bodies
from signaling.web.problems import Problem

REF = "#/components/schemas/{name}"


class Operation(NamedTuple):
    method: str
    path: str
    summary: str
    body: type[msgspec.Struct] | None
    status: int
    answer: type[msgspec.Struct] | None
    refusals: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()


OPERATIONS = (
    Operation("post", "/lessons", "Make a lesson", bodies.NewLesson, 201, bodies.LessonBody,
              ("bad_key", "lesson_exists", "unprocessable", "unsupported_media_type", "too_large")),
    Operation("get", "/lessons", "List lessons, newest first", None, 200, bodies.LessonList,
              ("bad_key", "unprocessable"),
              (("ended", "true or false"), ("limit", "1 to 200"), ("before", "`next` of the last page"))),
    Operation("get", "/lessons/{lesson}", "One lesson", None, 200, bodies.LessonBody,
              ("bad_key", "no_such_lesson")),
    Operation("post", "/lessons/{lesson}/end", "End a lesson for everybody", None, 200, bodies.LessonBody,
              ("bad_key", "no_such_lesson", "lesson_ended")),
    Operation("post", "/lessons/{lesson}/tokens", "Issue a token; the lesson need not exist yet",
              bodies.NewToken, 201, bodies.TokenBody, ("bad_key", "no_such_lesson", "unprocessable")),
    Operation("get", "/lessons/{lesson}/participants", "Who is and was in a lesson", None, 200,
              bodies.ParticipantList, ("bad_key", "no_such_lesson")),
    Operation("delete", "/people/{participant}", "Erase a person's name and answers", None, 204, None,
              ("bad_key",)),
)  # fmt: skip


async def document(request: web.Request) -> web.Response:
    return web.Response(body=msgspec.json.encode(describe()), content_type="application/json")


async def page(request: web.Request) -> web.Response:
    return web.Response(text=_page(), content_type="text/html")


@cache
def describe() -> dict[str, Any]:
    kinds = {Problem, *(kind for it in OPERATIONS for kind in (it.body, it.answer) if kind is not None)}
    _, schemas = msgspec.json.schema_components(
        sorted(kinds, key=lambda kind: kind.__name__), ref_template=REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(bodies.PREFIX + operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kelian 课联",
            "version": "1",
            "description": "Lessons and access tokens, for a school's own system. "
            "Refusals are RFC 9457 problems with a stable `code` and sentences in Chinese and English.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "KEY:SECRET"},
                "basic": {"type": "http", "scheme": "basic", "description": "KEY and SECRET"},
            },
        },
        "security": [{"bearer": []}, {"basic": []}],
    }


def _operation(it: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": it.summary}
    described["operationId"] = f"{it.method}{it.path}".replace("/", "_")
    names = [part.strip("{}") for part in it.path.split("/") if part.startswith("{")]
    text = {"schema": {"type": "string"}}
    parameters: list[dict[str, Any]] = [{"name": it, "in": "path", "required": True, **text} for it in names]
    parameters += [{"name": name, "in": "query", "description": about, **text} for name, about in it.query]
    if parameters:
        described["parameters"] = parameters
    if it.body is not None:
        described["requestBody"] = {"required": True, "content": _content("application/json", it.body)}
    answers: dict[str, Any] = {str(it.status): {"description": "done"}}
    if it.answer is not None:
        answers[str(it.status)]["content"] = _content("application/json", it.answer)
    for code in it.refusals:
        status = str(errors.status(code))
        about = [answers[status]["description"]] if status in answers else []
        answers[status] = {
            "description": ", ".join([*about, code]),
            "content": _content("application/problem+json", Problem),
        }
    described["responses"] = answers
    return described


def _content(kind: str, schema: type[msgspec.Struct]) -> dict[str, Any]:
    return {kind: {"schema": {"$ref": REF.format(name=schema.__name__)}}}


@cache
def _page() -> str:
    rows = "".join(_row(it) for it in OPERATIONS)
    schemas = "".join(
        f"<h3 id={name!r}>{name}</h3><pre>{html.escape(_pretty(schema))}</pre>"
        for name, schema in sorted(describe()["components"]["schemas"].items())
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Kelian 课联 API</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}
pre{{background:#8881;padding:.8em;overflow:auto}}td{{padding:.3em .8em .3em 0;vertical-align:top}}
code{{white-space:nowrap}}</style>
<h1>Kelian 课联: REST API</h1>
<p>For a school's own system. Every request carries an API key and its secret:
<code>Authorization: Bearer KEY:SECRET</code>, or HTTP Basic. Machines read
<a href="{bodies.PREFIX}/openapi.json">openapi.json</a>.</p>
<pre>curl -H "Authorization: Bearer $KEY:$SECRET" -H "Content-Type: application/json" \\
  -d '{{"role": "lecturer", "name": "王老师"}}' https://HOST{bodies.PREFIX}/lessons/math-7/tokens</pre>
<h2>Requests</h2><table>{rows}</table><h2>Bodies</h2>{schemas}</html>"""


def _row(it: Operation) -> str:
    body = f"<br>takes {_link(it.body)}" if it.body else ""
    answer = f"<br>gives {it.status} {_link(it.answer)}" if it.answer else ""
    codes = ", ".join(f"<code>{code}</code>" for code in it.refusals)
    where = html.escape(bodies.PREFIX + it.path)
    return (
        f"<tr><td><code>{it.method.upper()} {where}</code><td>{html.escape(it.summary)}{body}{answer}"
        f"<br>refuses with {codes}</tr>"
    )


def _link(kind: type[msgspec.Struct]) -> str:
    return f"<a href='#{kind.__name__}'>{kind.__name__}</a>"


def _pretty(schema: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
