"""Output that people and programs read is what was reviewed; `make golden` shows a change and keeps it when told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden import __main__ as program
from tests.golden import made


@pytest.mark.parametrize("make", [made.compared, made.reports])
def test_the_forms_of_comparisons_and_reports_are_as_reviewed(make: Callable[[], dict[str, str]]) -> None:
    for name, text in make().items():
        now = made._lines(text)
        assert now == made.kept(name), program.difference(name, made.kept(name), now)


def test_the_demo_tells_the_story_that_was_reviewed() -> None:
    now = made._lines(made.demo())
    assert now == made.kept("demo.txt"), program.difference("demo.txt", made.kept("demo.txt"), now)


def test_every_golden_file_is_still_made() -> None:
    assert {p.name for p in made.EXPECTED.iterdir()} == made.NAMES


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(made, "EXPECTED", tmp_path)
    monkeypatch.setattr(made, "everything", lambda _groups: {"a.txt": "new\n"})
    return tmp_path


def test_a_change_is_shown_and_not_kept_unless_told(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (golden / "a.txt").write_text("old\n")
    assert program.main([]) == 1
    assert "-old\n+new\n" in capsys.readouterr().out
    assert (golden / "a.txt").read_text() == "old\n"
    assert program.main(["--update"]) == 0
    assert "-old\n+new\n" in capsys.readouterr().out
    assert (golden / "a.txt").read_text() == "new\n"
    assert program.main([]) == 0


def test_work_that_nobody_committed_is_not_written_over(
    golden: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (golden / "a.txt").write_text("edited by hand\n")
    monkeypatch.setattr(program, "unreviewed", lambda: [" M a.txt"])
    assert program.main(["--update"]) == 2
    assert "a.txt" in capsys.readouterr().err
    assert (golden / "a.txt").read_text() == "edited by hand\n"
