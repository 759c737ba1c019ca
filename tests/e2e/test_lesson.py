"""One dual-teacher lesson in five real browsers, in the order in which a lesson goes."""

from tests.e2e.conftest import ANNA, BO, LECTURER, TUTOR, LessonInProgress, Steady

SEEN_WITHIN_S = 3.0


def test_everybody_sees_and_hears_the_lecturer(lesson: LessonInProgress) -> None:
    for person in (lesson.tutor, *lesson.students):
        person.until(lambda p=person: p.sees("lecturer.video", LECTURER), "sees the lecturer")
        person.until(lambda p=person: p.hears("lecturer.audio", LECTURER), "hears the lecturer")
        before = person.frames("lecturer.video")
        person.until(lambda p=person, n=before: p.frames("lecturer.video") > n + 5, "the picture moves")
        assert person.status("lecturer.video") == "playing"


def test_the_board_is_seen_by_all(lesson: LessonInProgress) -> None:
    lesson.lecturer.click("share-board")
    for person in (lesson.tutor, *lesson.students):
        person.until(lambda p=person: p.status("board") == "playing", "sees the board", 20)
        before = person.frames("board")
        person.until(lambda p=person, n=before: p.frames("board") > n, "the board is alive")


def test_hand_then_stage_then_seen_and_heard_by_all(lesson: LessonInProgress) -> None:
    anna = lesson.students[0]
    others = [p for p in lesson.people if p is not anna]
    descriptions = [p.descriptions() for p in lesson.people]
    steady = Steady([lesson.tutor, *lesson.students], "lecturer.video")

    anna.click("raise-hand")
    lesson.lecturer.until(lambda: lesson.lecturer.hands() == ["安娜"], "sees the raised hand", 5)
    lesson.lecturer.bring_up(anna)
    for person in others:
        took_s = person.until(lambda p=person: p.sees("stage.0.video", ANNA), "sees Anna on stage", 10)
        assert took_s < SEEN_WITHIN_S
        person.until(lambda p=person: p.hears("stage.0.audio", ANNA), "hears Anna on stage", 10)
    anna.until(lambda: anna.stage() == ["安娜"], "knows that she is on stage")
    assert not anna.sees("stage.0.video", ANNA), "her own picture never comes back from the server"

    assert [p.descriptions() for p in lesson.people] == descriptions, "no SDP is exchanged"
    steady.check()


def test_the_tutor_joins_her_there(lesson: LessonInProgress) -> None:
    lesson.lecturer.bring_up(lesson.tutor)
    for person in (lesson.lecturer, *lesson.students):
        person.until(lambda p=person: p.sees("stage.1.video", TUTOR), "sees the tutor", 10)
        person.until(lambda p=person: p.hears("stage.1.audio", TUTOR), "hears the tutor", 10)


def test_a_swap_shows_no_frozen_face(lesson: LessonInProgress) -> None:
    anna, bo, chen = lesson.students
    descriptions = [p.descriptions() for p in lesson.people]
    lesson.lecturer.take_down(anna)
    for person in (lesson.lecturer, lesson.tutor, bo, chen):
        person.until(lambda p=person: p.status("stage.0.video") == "empty", "the slot is empty", 3)
        assert person.picture("stage.0.video") is None, "no frozen face"
    bo.click("raise-hand")
    lesson.lecturer.until(lambda: lesson.lecturer.hands() == ["小波"], "sees the hand", 5)
    lesson.lecturer.bring_up(bo)
    for person in (lesson.lecturer, lesson.tutor, anna, chen):
        person.until(lambda p=person: p.sees("stage.0.video", BO), "sees Bo where Anna was", 10)
        person.until(lambda p=person: p.hears("stage.0.audio", BO), "hears Bo", 10)
    assert [p.descriptions() for p in lesson.people] == descriptions, "no SDP is exchanged"
