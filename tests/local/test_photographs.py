from pathlib import Path

import pytest

from deploy.local import photographs
from deploy.local.failures import LocalError

JUDGE = """
import pathlib, sys
assert (pathlib.Path(sys.argv[1]) / "coffee.png").is_file()
pathlib.Path(__file__).with_suffix(".seen").write_text(" ".join(sys.argv[2:]))
"""


def scripts(folder: Path, **judges: str) -> list[Path]:
    for name, text in judges.items():
        (folder / f"evaluate_{name}.py").write_text(text)
    return sorted(folder.glob("evaluate_*.py"))


def test_every_judge_is_heard_and_those_that_are_not_content_are_named(tmp_path: Path) -> None:
    found = scripts(tmp_path, first=JUDGE + "raise SystemExit('too small')", second=JUDGE, third=JUDGE + "1 / 0")
    with pytest.raises(LocalError, match=r"not as good as promised: first, third$"):
        photographs.judge(found, report=tmp_path / "report.json")
    assert len(list(tmp_path.glob("*.seen"))) == 3


def test_content_judges_draw_their_sheets_where_they_are_told(tmp_path: Path) -> None:
    photographs.judge(scripts(tmp_path, only=JUDGE), tmp_path / "sheets", tmp_path / "report.json")
    assert (tmp_path / "evaluate_only.seen").read_text() == f"--sheet {tmp_path / 'sheets' / 'only.jpg'}"


def test_there_is_a_judge_of_each_ability() -> None:
    names = {path.name for path in photographs.JUDGES.glob("evaluate_*.py")}
    assert names == {"evaluate_detection.py", "evaluate_mattes.py", "evaluate_upscaling.py"}
