"""Journals of real encoded media, with everything that goes wrong on the way, become files that play."""

import errno
import fcntl
import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from mediaserver.journal.errors import JournalError
from recorder import export, mux
from recorder.errors import RecordingError
from tests.mediaserver import journals
from tests.mediaserver.journals import Arrival, Sending, Wire
from tests.recorder.looking import Played, play

CAMERA, VOICE = "use=camera;participant=anna;session=s1", "use=microphone;participant=anna;session=s1"
LIP_SYNC_S = 0.04
FPS = 10


def person(codec: str = "h264", seconds: float = 4, drift_ppm: float = 0.0) -> tuple[Wire, Wire]:
    picture = Wire(0x11, 102, 90_000, seed=1, delay_ms=45)
    voice = Wire(0x22, 111, 48_000, seed=2, ppm=drift_ppm)
    journals.camera(picture, codec, seconds=seconds, fps=FPS)
    journals.microphone(voice, seconds=seconds)
    return picture, voice


def sendings(codec: str, picture: Wire, voice: Wire) -> list[Sending]:
    return [journals.sending(5, picture, codec, CAMERA), journals.sending(6, voice, "opus", VOICE)]


def exported(
    folder: Path, paths: list[Path], container: export.Format = "mp4"
) -> tuple[dict[str, object], Played]:
    """The manifest's entry of the only file, and what it shows."""
    made = export.export("maths", paths, folder / "out", container)
    (file,) = made.manifest["files"]
    path = made.folder / file["name"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
    assert path.stat().st_size == file["bytes"]
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert json.loads((made.folder / "manifest.json").read_text()) == made.manifest
    return file, play(path)


def lip_sync(played: Played) -> float:
    """The farthest that a beep is from the flash nearest to it."""
    assert played.beeps
    return max(min(abs(beep - flash) for flash in played.flashes) for beep in played.beeps)


def moments(played: Played) -> list[int]:
    """What the strips say, in ms of the lesson; every one must be readable."""
    assert all(picture.stamp is not None and picture.stamp.sender == 7 for picture in played.pictures)
    return [picture.stamp.ms for picture in played.pictures if picture.stamp]


def in_step(played: Played) -> bool:
    """Whether each picture is shown as long after the first as it was made."""
    shown = [picture.at_s - played.pictures[0].at_s for picture in played.pictures]
    made = [(ms - moments(played)[0]) / 1000 for ms in moments(played)]
    return max(abs(a - b) for a, b in zip(shown, made, strict=True)) < 0.01


@pytest.mark.parametrize(
    ("codec", "container", "name"),
    [
        ("h264", "mp4", "anna-camera.mp4"),
        ("h264", "mkv", "anna-camera.mkv"),
        ("vp8", "mp4", "anna-camera.webm"),
        ("vp8", "mkv", "anna-camera.mkv"),
    ],
)
def test_a_person_is_one_file_in_step(
    tmp_path: Path, codec: str, container: export.Format, name: str
) -> None:
    path = journals.write(tmp_path, sendings(codec, *person(codec)))
    file, played = exported(tmp_path, [path], container)
    assert file["name"] == name
    assert moments(played) == list(range(0, 4000, 1000 // FPS))
    assert in_step(played)
    assert played.sound_s == pytest.approx(4, abs=0.03)
    assert file["duration_s"] == pytest.approx(4, abs=0.05)
    assert lip_sync(played) < 0.01
    assert (file["pictures"], file["losses"], file["sizes"]) == (40, 0, ["320x180"])


def disturbed(arrivals: list[Arrival]) -> list[Arrival]:
    """Reordered, doubled, and a burst of packets lost in the second from 1.5 s on."""
    chance = random.Random(9)
    kept = []
    for it in arrivals:
        at_s = (it.at_ns - journals.START_NS) / 1e9
        if 1.5 < at_s < 1.7 and not it.report:
            continue
        late = it._replace(at_ns=it.at_ns + int(chance.random() * 80_000_000))
        kept += [late, late] if chance.random() < 0.1 else [late]
    return kept


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_losses_are_gaps_in_time_and_nothing_else_moves(tmp_path: Path, codec: str) -> None:
    picture, voice = person(codec)
    path = journals.write(
        tmp_path,
        [
            journals.sending(5, picture, codec, CAMERA, disturbed),
            journals.sending(6, voice, "opus", VOICE, disturbed),
        ],
    )
    file, played = exported(tmp_path, [path])
    assert [ms for ms in range(0, 4000, 100) if ms not in moments(played)] == list(
        range(moments(played)[moments(played).index(2000) - 1] + 100, 2000, 100)
    )
    assert in_step(played)
    assert lip_sync(played) < LIP_SYNC_S
    assert 3.6 < played.sound_s < 3.9
    assert file["losses"] == 1
    missing = [stream["missing"] for source in file["sources"] for stream in source["streams"]]  # type: ignore[attr-defined]
    assert all(missing)


def test_two_files_after_a_kill_are_one_recording(tmp_path: Path) -> None:
    """The last block of the first is torn, the second begins with what the ring still held."""
    everything = sendings("h264", *person())
    ends, begins = journals.START_NS + 2_000_000_000, journals.START_NS + 1_900_000_000
    first = [it._replace(arrivals=[a for a in it.arrivals if a.at_ns < ends]) for it in everything]
    second = [it._replace(arrivals=[a for a in it.arrivals if a.at_ns >= begins]) for it in everything]
    paths = [
        journals.write(tmp_path, first, "20261009T080000Z-1"),
        journals.write(tmp_path, second, "20261009T080009Z-2"),
    ]
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    made = export.export("maths", paths, tmp_path / "out")
    (file,) = made.manifest["files"]
    played = play(made.folder / file["name"])
    assert moments(played) == list(range(0, 4000, 100))
    assert played.sound_s == pytest.approx(4, abs=0.03)
    assert lip_sync(played) < 0.01
    assert [it["torn"] for it in made.manifest["journals"]] == [True, False]


def test_a_new_ssrc_and_another_size_go_on_in_the_same_file(tmp_path: Path) -> None:
    """An encoder that is started anew, smaller, with a clock of its own."""
    before = Wire(0x11, 102, 90_000, seed=1)
    after = Wire(0x33, 102, 90_000, seed=2, timestamp=5, sequence=77)
    voice = Wire(0x22, 111, 48_000, seed=3)
    journals.camera(before, "h264", seconds=2, size=(640, 360))
    journals.camera(after, "h264", seconds=2, from_s=2, size=(320, 180))
    journals.microphone(voice, seconds=4)
    path = journals.write(
        tmp_path,
        [journals.sending(5, [before, after], "h264", CAMERA), journals.sending(6, voice, "opus", VOICE)],
    )
    file, played = exported(tmp_path, [path])
    assert [picture.size for picture in played.pictures] == [(640, 360)] * 20 + [(320, 180)] * 20
    assert moments(played) == list(range(0, 4000, 100))
    assert in_step(played)
    assert file["sizes"] == ["640x360", "320x180"]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_size_that_changes_in_mid_stream(tmp_path: Path, codec: str) -> None:
    picture = Wire(0x11, 102, 90_000)
    journals.camera(picture, codec, seconds=1, size=(320, 180))
    journals.camera(picture, codec, seconds=1, from_s=1, size=(640, 360))
    journals.camera(picture, codec, seconds=1, from_s=2, size=(176, 144))
    path = journals.write(tmp_path, [journals.sending(5, picture, codec, CAMERA)])
    file, played = exported(tmp_path, [path])
    assert [picture.size for picture in played.pictures] == [(320, 180)] * 10 + [(640, 360)] * 10 + [
        (176, 144)
    ] * 10
    assert moments(played) == list(range(0, 3000, 100))
    assert file["sizes"] == ["320x180", "640x360", "176x144"]


def test_the_largest_layer_is_kept_and_the_next_one_fills_its_pauses(tmp_path: Path) -> None:
    small, large = Wire(0x11, 102, 90_000), Wire(0x12, 102, 90_000, timestamp=1234, seed=5)
    journals.camera(small, "h264", seconds=8, size=(320, 180))
    journals.camera(large, "h264", seconds=2, from_s=1, size=(640, 360))
    journals.camera(large, "h264", seconds=2, from_s=6, size=(640, 360))
    path = journals.write(tmp_path, [journals.sending(5, [small, large], "h264", CAMERA)])
    _file, played = exported(tmp_path, [path])
    assert moments(played) == list(range(0, 8000, 100))
    widths = [picture.size[0] for picture in played.pictures]
    assert widths == [320] * 10 + [640] * 20 + [320] * 30 + [640] * 20


def test_a_drift_of_100_ppm_between_sound_and_picture(tmp_path: Path) -> None:
    """Twenty minutes of drift without twenty minutes of encoding: few pictures, and beeps at both ends."""
    picture, voice = Wire(0x11, 102, 90_000, seed=1, ppm=-100), Wire(0x22, 111, 48_000, seed=2, ppm=100)
    for minute in range(21):
        journals.camera(picture, "h264", seconds=2, from_s=60 * minute, fps=FPS)
        journals.microphone(voice, seconds=2, from_s=60 * minute)
    path = journals.write(tmp_path, sendings("h264", picture, voice))
    _file, played = exported(tmp_path, [path])
    assert len(played.beeps) == len(played.flashes) == 42
    assert max(abs(a - b) for a, b in zip(played.beeps, played.flashes, strict=True)) < 0.01
    assert played.flashes[-1] - played.flashes[0] == pytest.approx(1201, abs=0.02)


def test_damage_costs_what_was_there_and_is_told(tmp_path: Path) -> None:
    path = journals.write(tmp_path, sendings("h264", *person()))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(data)
    made = export.export("maths", [path], tmp_path / "out")
    (file,) = made.manifest["files"]
    played = play(made.folder / file["name"])
    assert len(played.pictures) >= 30
    assert in_step(played)
    assert made.manifest["journals"][0]["damages"]


def test_what_the_writer_dropped_is_in_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    folder.mkdir()
    path = folder / "a.pcapng"
    path.write_bytes(
        journals.journal(sendings("h264", *person(seconds=1)), journals.dropped(0, journals.START_NS, 17))
    )
    manifest = export.export("maths", [path], tmp_path / "out").manifest
    assert [(it["source"], it["packets"]) for it in manifest["journals"][0]["dropped"]] == [(6, 17)]


def test_each_source_alone_and_people_with_boards(tmp_path: Path) -> None:
    picture, voice = person(seconds=1)
    board, rejoined, other = (Wire(ssrc, 102, 90_000, seed=ssrc) for ssrc in (0x44, 0x55, 0x66))
    journals.camera(board, "h264", seconds=1)
    journals.camera(rejoined, "h264", seconds=1, from_s=3)
    journals.camera(other, "h264", seconds=1)
    everything = [
        *sendings("h264", picture, voice),
        journals.sending(7, board, "h264", "use=board;participant=anna;session=s1"),
        journals.sending(8, rejoined, "h264", "use=camera;participant=anna;session=s2"),
        journals.sending(9, other, "h264", "use=camera;participant=../../etc/王;session=s3"),
    ]
    path = journals.write(tmp_path, everything)

    people = export.export("maths", [path], tmp_path / "people").manifest["files"]
    assert {file["name"]: [source["source"] for source in file["sources"]] for file in people} == {
        "anna-camera.mp4": [5, 8, 6],
        "anna-board.mp4": [7],
        "_.._etc__-camera.mp4": [9],
    }
    alone = export.export("maths", [path], tmp_path / "alone", grouping="source").manifest["files"]
    assert sorted(file["name"] for file in alone) == [
        *("5-camera.mp4", "6-microphone.mp4", "7-board.mp4", "8-camera.mp4", "9-camera.mp4")
    ]


def test_another_days_lesson_of_the_same_id_is_another_file(tmp_path: Path) -> None:
    today, tomorrow = Wire(0x11, 102, 90_000), Wire(0x12, 102, 90_000)
    journals.camera(today, "h264", seconds=1)
    journals.camera(tomorrow, "h264", seconds=1, from_s=86_400)
    paths = [
        journals.write(tmp_path, [journals.sending(5, today, "h264", CAMERA)], "20261009T080000Z-1"),
        journals.write(tmp_path, [journals.sending(9, tomorrow, "h264", CAMERA)], "20261010T080000Z-1"),
    ]
    files = export.export("maths", paths, tmp_path / "out").manifest["files"]
    assert [(file["name"], file["duration_s"] < 2) for file in files] == [
        ("anna-camera.mp4", True),
        ("anna-camera-2.mp4", True),
    ]


def test_pictures_without_any_key_frame_are_told_and_spoil_nothing(tmp_path: Path) -> None:
    picture, voice = person(seconds=1)
    late = [it for it in picture.arrivals if it.at_ns > journals.START_NS + 300_000_000]
    alone = journals.sending(9, picture, "h264", "use=board;participant=anna", lambda _all: late)
    path = journals.write(tmp_path, [alone, journals.sending(6, voice, "opus", VOICE)])
    manifest = export.export("maths", [path], tmp_path / "out").manifest
    assert [file["name"] for file in manifest["files"]] == ["anna-camera.mp4"]
    assert [source["source"] for source in manifest["without_file"]] == [9]


def test_an_export_that_fails_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = journals.write(tmp_path, sendings("h264", *person(seconds=1)))
    target = tmp_path / "out"
    first = export.export("maths", [path], target)

    def full(*_all: object) -> mux.Written:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(mux, "write", full)
        with pytest.raises(RecordingError) as caught:
            export.export("maths", [path], target)
    assert caught.value.code == "disk_full"
    assert list(target.iterdir()) == [first.folder]

    (target / ".partial-killed").mkdir()  # and what a killed one left is cleared away by the next
    second = export.export("maths", [path], target)
    assert sorted(target.iterdir()) == sorted([first.folder, second.folder])


def test_two_exports_into_one_folder_do_not_meet(tmp_path: Path) -> None:
    path = journals.write(tmp_path, sendings("h264", *person(seconds=1)))
    target = tmp_path / "out"
    target.mkdir()
    other = os.open(target, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(RecordingError) as caught:
        export.export("maths", [path], target)
    os.close(other)
    assert caught.value.code == "export_running"


def test_nothing_to_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        export.journal_files(tmp_path, "../maths")
    assert caught.value.code == "no_journal"
    empty = journals.write(tmp_path, [])
    with pytest.raises(RecordingError) as caught:
        export.export("maths", [empty], tmp_path / "out")
    assert caught.value.code == "nothing_recorded"
    empty.write_bytes(b"hello, world" * 9)
    with pytest.raises(JournalError) as foreign:
        export.export("maths", [empty], tmp_path / "out")
    assert foreign.value.code == "journal_foreign"


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        *((b"\x78x", 960), (b"\x7bx", 0), (b"\x7b\x03", 2880), (b"\xf8x", 960), (b"\xf9x", 1920)),
        *((b"\xe0x", 120), (b"\x00x", 480), (b"\x18x", 2880), (b"\x60x", 480), (b"\x68x", 960), (b"\xfb", 0)),
    ],
)
def test_how_long_an_opus_packet_sounds(packet: bytes, samples: int) -> None:
    """RFC 6716, table 2: configuration, then the number of frames."""
    assert mux.opus_samples(packet) == samples
