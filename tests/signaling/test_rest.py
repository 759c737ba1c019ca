"""The REST API: what the school's own system does, and what it is refused."""

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from yarl import URL

from signaling import errors
from signaling.auth import tokens
from signaling.config import Limits, Rate, Settings
from signaling.web import intake
from signaling.web.app import Server
from signaling.web.patience import Patience
from tests.signaling.doors import Door

JSON = {"Content-Type": "application/json"}


async def call(door: Door, method: str, path: str, **more: Any) -> tuple[int, Any]:
    headers = {**door.api, **more.pop("headers", {})}
    async with door.http.request(method, f"/api/v1{path}", headers=headers, **more) as response:
        body = await response.json(content_type=None) if await response.read() else None
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert body["status"] == response.status
            assert body["code"] in errors.CATALOGUE
            assert body["zh"]
            assert body["en"]
        return response.status, body


async def test_a_lesson_from_making_to_end(door: Door) -> None:
    status, made = await call(door, "POST", "/lessons", json={"id": "math", "title": "数学 <七年级>"})
    assert (status, made["state"], made["codec"]) == (201, "created", "h264")
    assert (await call(door, "POST", "/lessons", json={"id": "math"}))[1]["code"] == "lesson_exists"
    lecturer = await door.enter("lecturer", "wang")
    welcome = await lecturer.hear("welcome")
    assert welcome["lesson"]["title"] == "数学 <七年级>"
    assert not welcome["state"]["recording"]
    assert (await call(door, "GET", "/lessons/math"))[1]["state"] == "started"
    _, people = await call(door, "GET", "/lessons/math/participants")
    assert people["participants"][0]["name"] == "Wang"
    assert people["participants"][0]["present"]
    status, ended = await call(door, "POST", "/lessons/math/end")
    assert (status, ended["state"]) == (200, "ended")
    assert (await lecturer.hear("goodbye"))["code"] == "lesson_ended"
    assert (await call(door, "POST", "/lessons/math/end"))[1]["code"] == "lesson_ended"
    status, again = await call(door, "POST", "/lessons", json={"id": "math", "record": True})
    assert (status, again["state"]) == (201, "created")
    assert again["log"] != made["log"]
    assert (await door.enter("student", "li")).heard[0]["t"] == "waiting"
    lecturer = await door.enter("lecturer", "wang")
    assert (await lecturer.hear("welcome"))["state"]["recording"]


async def test_lessons_are_listed_newest_first_by_pages(door: Door) -> None:
    for i in range(5):
        await call(door, "POST", "/lessons", json={"id": f"lesson-{i}"})
    await call(door, "POST", "/lessons/lesson-3/end")
    _, first = await call(door, "GET", "/lessons?limit=3")
    assert [it["id"] for it in first["lessons"]] == ["lesson-4", "lesson-3", "lesson-2"]
    _, rest = await call(door, "GET", f"/lessons?limit=3&before={first['next']}")
    assert [it["id"] for it in rest["lessons"]] == ["lesson-1", "lesson-0"]
    assert rest["next"] is None
    _, ended = await call(door, "GET", "/lessons?ended=true")
    assert [it["id"] for it in ended["lessons"]] == ["lesson-3"]
    for query in ("ended=perhaps", "limit=0", "limit=x", "limit=9999"):
        assert (await call(door, "GET", f"/lessons?{query}"))[0] == 422


async def test_a_token_opens_its_lesson_in_its_role(door: Door) -> None:
    wanted = {"role": "lecturer", "name": "王老师", "participant": "wang", "ttl_s": 60}
    status, issued = await call(door, "POST", "/lessons/art/tokens", json=wanted)
    assert status == 201
    assert issued["url"] == f"{door.url}/#/join/{issued['token']}"
    client = await door.enter("lecturer", token=issued["token"])
    welcome = await client.hear("welcome")
    assert (welcome["participant"], welcome["lesson"]["id"]) == ("wang", "art")
    assert welcome["people"]["wang"]["name"] == "王老师"


@pytest.mark.parametrize(
    "body",
    [
        {"role": "king"},
        {},
        {"role": "student", "ttl_s": 0},
        {"role": "student", "participant": "no spaces"},
        {"role": "student", "colour": "red"},
        {"role": 5},
        [],
        "x",
    ],
)
async def test_wrong_bodies_are_unprocessable(door: Door, body: object) -> None:
    assert (await call(door, "POST", "/lessons/math/tokens", json=body))[1]["code"] == "unprocessable"


@pytest.mark.parametrize("data", [b"", b"{", b'{"title":', b'{"title":"\xff"}', b'{"id":"x"}}'])
async def test_broken_bodies_are_bad_messages(door: Door, data: bytes) -> None:
    status, body = await call(door, "POST", "/lessons", data=data, headers=JSON)
    assert (status, body["code"]) == (400, "bad_message")


async def test_other_types_and_sizes_are_refused(door: Door) -> None:
    status, body = await call(door, "POST", "/lessons", data=b"id=math")
    assert (status, body["code"]) == (415, "unsupported_media_type")
    status, body = await call(door, "POST", "/lessons", data=b'{"title":"' + b"x" * 100_000, headers=JSON)
    assert (status, body["code"]) == (413, "too_large")
    status, body = await call(door, "POST", "/lessons", data=b"x" * 2_000_000, headers=JSON)
    assert (status, body["code"]) == (413, "too_large")


async def test_only_api_keys_open_it(door: Door) -> None:
    key, secret = next(iter(door.keys.items()))
    basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
    async with door.http.get("/api/v1/lessons", headers={"Authorization": f"Basic {basic}"}) as response:
        assert response.status == 200
    wrong = [
        "",
        "Bearer",
        f"Bearer {key}",
        f"Bearer {key}:{secret[:-1]}",
        f"Bearer other:{secret}",
        "Basic !!!",
        f"Bearer {door.token('ops')}",
    ]
    for value in wrong:
        for method, path in (("GET", "lessons"), ("POST", "lessons"), ("GET", "lessons/math/participants")):
            headers = {"Authorization": value} if value else {}
            async with door.http.request(method, f"/api/v1/{path}", headers=headers) as response:
                assert response.status == 401, value
                assert (await response.json(content_type=None))["code"] == "bad_key"
                assert "WWW-Authenticate" in response.headers


async def test_what_is_not_there_is_said_so(door: Door) -> None:
    assert (await call(door, "GET", "/lessons/none"))[1]["code"] == "no_such_lesson"
    assert (await call(door, "POST", "/lessons/none/end"))[1]["code"] == "no_such_lesson"
    assert (await call(door, "GET", "/nothing"))[1]["code"] == "not_found"
    assert (await call(door, "POST", "/lessons/bad id/tokens", json={"role": "student"}))[0] == 404
    status, body = await call(door, "PUT", "/lessons/math")
    assert (status, body["code"]) == (405, "method_not_allowed")


async def test_a_person_is_forgotten(door: Door) -> None:
    await door.enter("lecturer", "wang")
    assert (await call(door, "DELETE", "/people/wang"))[0] == 204
    _, people = await call(door, "GET", "/lessons/math/participants")
    assert (people["participants"][0]["participant"], people["participants"][0]["name"]) == ("wang", "")


async def test_the_description_describes_what_is_there(server: Server, door: Door) -> None:
    async with door.http.get("/api/v1/openapi.json") as response:
        described = await response.json()
    assert described["openapi"].startswith("3.1")
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in server._runner.app.router.routes()  # type: ignore[union-attr]
        if route.resource and route.resource.canonical.startswith("/api/v1/") and route.method != "HEAD"
    }
    told = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert told == routes - {("get", "/api/v1/openapi.json"), ("get", "/api/v1/docs")}
    async with door.http.get("/api/v1/docs") as response:
        page = await response.text()
        assert "/api/v1/lessons/{lesson}/tokens" in page
        assert "://" not in page.replace("https://HOST", "")  # nothing from elsewhere


async def test_too_many_requests_from_one_address(settings: Settings) -> None:
    slow = Limits(http_per_address=Rate(per_s=0.1, burst=3))
    async with (
        Server(msgspec.structs.replace(settings, limits=slow)) as server,
        Door(server.url, server.keys) as door,
    ):
        statuses = []
        for _ in range(4):
            async with door.http.get("/api/v1/lessons", headers=door.api) as response:
                statuses.append(response.status)
        assert statuses == [200, 200, 200, 429]
        assert int(response.headers["Retry-After"]) > 0
        async with door.http.get("/healthz") as response:
            assert response.status == 200
        for _ in range(4):  # a school's children open the page from one address
            async with door.http.get("/assets/page.js") as response:
                assert response.status == 404


async def test_a_connection_that_asks_nothing_is_closed(settings: Settings) -> None:
    """Half a request is none; one that has asked may rest, and a WebSocket may be silent."""
    async with (
        Server(settings, Patience(silent_s=0.2)) as server,
        Door(server.url, server.keys) as door,
    ):
        lecturer = await door.enter("lecturer", "wang")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: a")
        resting, polite = await asyncio.open_connection("127.0.0.1", server.port)
        polite.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        await asyncio.sleep(0.5)
        assert not resting.at_eof()
        assert (await lecturer.ask("ping"))["t"] == "ack"
        for it in (writer, polite):
            it.close()


async def test_a_key_that_is_no_text_is_a_wrong_key(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    bearer = f"Bearer {next(iter(server.keys))}:".encode() + b"\xff\xfe"
    writer.write(b"GET /api/v1/lessons HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + bearer)
    writer.write(b"\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_a_body_that_does_not_end_is_refused(
    server: Server, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(intake.body.__kwdefaults__, "within_s", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"Host: x\r\nAuthorization: {door.api['Authorization']}\r\nContent-Type: application/json\r\n"
    writer.write(f"POST /api/v1/lessons HTTP/1.1\r\n{head}Content-Length: 9\r\n\r\n{{".encode())
    async with asyncio.timeout(3):
        assert (await reader.readline()).split()[1] == b"400"
    writer.close()


async def test_health_and_metrics(server: Server, door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    await lecturer.ask("chat", text="hello")
    async with door.http.get("/readyz") as response:
        assert (response.status, (await response.json())["checks"]) == (200, {"store": "ok"})
    async with door.http.get("/api/v1/lessons") as response:
        assert response.status == 401
    async with door.http.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    assert 'kelian_refusals_total{code="bad_key"} 1' in lines
    assert 'kelian_commit_seconds_bucket{le="+Inf"} 2' in lines
    assert "kelian_commit_seconds_count 2" in lines
    assert "kelian_connections 1" in lines
    assert 'kelian_requests_total{type="chat",outcome="ok"} 1' in lines
    assert 'kelian_participants{role="lecturer"} 1' in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


class TestPages:
    @pytest.fixture(autouse=True)
    def pages(self, tmp_path: Path) -> Path:
        root = tmp_path / "pages"
        (root / "assets").mkdir(parents=True)
        (root / "index.html").write_text("<title>课联</title>")
        (root / "assets" / "main-1a2b.js").write_text("1")
        (root / ".secret").write_text("no")
        (tmp_path / "outside.txt").write_text("no")
        (root / "link.txt").symlink_to(tmp_path / "outside.txt")
        return root

    async def test_the_first_page_and_its_files(self, door: Door) -> None:
        async with door.http.get("/") as response:
            assert "课联" in await response.text()
            assert response.headers["Cache-Control"] == "no-cache"
            assert "frame-ancestors" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
        async with door.http.get("/assets/main-1a2b.js") as response:
            assert "immutable" in response.headers["Cache-Control"]

    @pytest.mark.parametrize(
        "path",
        [
            "/.secret", "/link.txt", "/../outside.txt", "/%2e%2e/outside.txt", "/none.js", "/%00",
            "/assets/%2e%2e/%2e%2e/outside.txt", "/assets", "/signaling.db",
        ],
    )  # fmt: skip
    async def test_nothing_else_is_served(self, door: Door, path: str) -> None:
        async with door.http.get(URL(door.url + path, encoded=True)) as response:
            assert response.status == 404
            assert await response.text() != "no"

    async def test_a_token_in_the_query_moves_to_the_fragment(self, door: Door) -> None:
        async with door.http.get("/join?token=abc.def", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, "/#/join/abc.def")


async def test_pages_that_are_not_built_say_how(door: Door) -> None:
    async with door.http.get("/") as response:
        assert response.status == 503
        assert "npm run build" in await response.text()


async def test_a_token_signed_by_the_schools_own_system_is_good(door: Door) -> None:
    """Whoever has key and secret needs no request to us."""
    token = tokens.issue(door.keys, lesson="x", role="lecturer", name="A", ttl_s=60, now=time.time())
    assert (await door.enter("lecturer", token=token)).heard[0]["t"] == "welcome"


async def test_a_lesson_that_the_school_ends_has_its_open_quiz_counted(door: Door, server: Server) -> None:
    """The log's last totals hold every answer that was acknowledged, not those of a second ago."""
    lecturer = await door.enter("lecturer", "wang")
    students = [await door.enter("student", f"s{number}") for number in range(3)]
    await lecturer.ask("quiz_ask", question="?", options=["a", "b"])
    for student in students:
        assert (await student.ask("quiz_answer", quiz=1, choices=[1]))["t"] == "ack"
    async with door.http.post("/api/v1/lessons/math/end", headers=door.api) as response:
        assert response.status == 200
    closed = await lecturer.event("quiz_closed")
    assert (closed["event"]["counts"], closed["event"]["answered"]) == ([0, 3], 3)
    assert "by" not in closed
