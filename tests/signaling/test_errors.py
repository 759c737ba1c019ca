"""The catalogue: complete, in two languages, and as documented."""

import re
from pathlib import Path

import pytest

from signaling import errors
from signaling.errors import CATALOGUE, KelianError, sentence, status, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("code", CATALOGUE)
def test_each_sentence_is_in_its_language_and_ends(code: str) -> None:
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", code)
    assert re.search(r"[\u4e00-\u9fff]", entry.zh)
    assert entry.zh.endswith("。")
    assert not re.search(r"[\u4e00-\u9fff]", entry.en)
    assert entry.en.endswith(".")
    assert set(re.findall(r"{(\w+)}", entry.zh)) == set(re.findall(r"{(\w+)}", entry.en))
    assert 200 <= entry.status < 600


def test_details_fill_sentences_roles_in_chinese() -> None:
    zh, en = sentence("other_role", role="tutor")
    assert "辅导" in zh
    assert "tutor" in en
    assert "16" in sentence("stage_full", capacity=16)[0]


def test_missing_and_surplus_details_do_no_harm() -> None:
    assert "{" not in "".join(sentence("stage_full"))
    assert sentence("left", why="{x}") == (CATALOGUE["left"].zh, CATALOGUE["left"].en)
    assert "{x}" in sentence("codec_fixed", codec="{x}")[1]


def test_an_unknown_code_is_told_as_internal() -> None:
    assert sentence("from_a_newer_node") == sentence("internal")
    assert status("from_a_newer_node") == 500


def test_an_error_says_its_code_and_detail() -> None:
    error = KelianError("stage_full", capacity=16)
    assert error.code == "stage_full"
    assert str(error).startswith("stage_full: ")
    assert "16" in str(error)


def test_the_document_has_the_table() -> None:
    document = (ROOT / "docs" / "errors.md").read_text()
    assert document.endswith(table()), "renew it: python -m signaling.errors"


def test_every_code_that_is_given_is_in_the_catalogue() -> None:
    """All literal codes of refusals in the server's own sources."""
    given = re.compile(
        r"""(?:refuse|Refusal|Refused|StoreError|TokenError|KelianError|BadMessage|NegotiationError|goodbye)\(\s*"""
        r"""(?:req=[\w.]+,\s*|[\w.]*req,\s*|None,\s*)?(?:code=)?"([a-z_]+)\""""
    )
    found = {
        code: path.relative_to(ROOT)
        for package in ("signaling", "mediaserver")
        for path in sorted((ROOT / package).rglob("*.py"))
        for code in given.findall(path.read_text())
    }
    assert len(found) > 30
    assert {code: path for code, path in found.items() if code not in errors.CATALOGUE} == {}
