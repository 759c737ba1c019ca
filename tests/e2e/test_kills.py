"""What a killed process costs: signaling nothing that is seen, the media node a few seconds."""

from tests.e2e.conftest import ANNA, LECTURER, LessonInProgress, Steady

BACK_WITHIN_S = 5.0


def _stage_anna(lesson: LessonInProgress) -> None:
    for person in lesson.people[1:]:
        person.until(lambda p=person: p.sees("lecturer.video", LECTURER), "sees the lecturer")
    lesson.lecturer.bring_up(lesson.students[0])
    for person in (lesson.lecturer, lesson.tutor, *lesson.students[1:]):
        person.until(lambda p=person: p.sees("stage.0.video", ANNA), "sees Anna on stage")


def test_signaling_killed_stops_no_picture(lesson: LessonInProgress) -> None:
    _stage_anna(lesson)
    watching = lesson.people[1:]
    steady = Steady(watching, "lecturer.video")
    killed = lesson.server.kill("signaling")
    for person in watching:
        person.until(
            lambda p=person: p.page.evaluate("window.__kelian.lesson.health.signaling") != "connected",
            "notices", 10,
        )  # fmt: skip
    for person in lesson.people:
        person.until(
            lambda p=person: p.page.evaluate("window.__kelian.lesson.health.signaling") == "connected",
            "is back", 15,
        )  # fmt: skip
        assert person.phase() == "live"
        assert person.stage() == ["安娜"], "the stage is as it was"
    assert lesson.server.pid_of("signaling") not in (killed, None)
    steady.check()

    # The lesson goes on: what is done now reaches everybody.
    lesson.lecturer.take_down(lesson.students[0])
    for person in lesson.people:
        person.until(lambda p=person: p.stage() == [], "sees the stage emptied")


def test_media_node_killed_everybody_is_back_within_seconds(lesson: LessonInProgress) -> None:
    _stage_anna(lesson)
    before = [person.frames("lecturer.video") for person in lesson.people[1:]]
    killed = lesson.server.kill("mediaserver")
    server = lesson.server
    lesson.lecturer.until(lambda: server.pid_of("mediaserver") not in (killed, None), "node restarted", 5)
    for person, frames in zip(lesson.people[1:], before, strict=True):
        took_s = person.until(
            lambda p=person, n=frames: (
                p.status("lecturer.video") == "playing"
                and p.sees("lecturer.video", LECTURER)
                and p.frames("lecturer.video") != n
            ),
            "sees the lecturer again",
        )
        assert took_s < BACK_WITHIN_S
    for person in (lesson.lecturer, lesson.tutor, *lesson.students[1:]):
        person.until(lambda p=person: p.sees("stage.0.video", ANNA), "sees Anna again")
        person.until(lambda p=person: p.hears("stage.0.audio", ANNA), "hears Anna again")
