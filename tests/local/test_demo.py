import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from deploy.local import contact_sheet, demo, productions
from deploy.local.client import StreamedEvent, parse_events
from deploy.local.contact_sheet import DenoisingPreview
from deploy.local.failures import LocalError
from tests.stack import RunningStack


def read_image(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def test_the_demo_runs_a_workflow_treats_a_photograph_and_shows_every_step(stack: RunningStack, tmp_path: Path) -> None:
    said = io.StringIO()
    record = demo.DemoReport(productions.read(demo.WORKFLOW)["steps"][0]["config"]["prompt"])
    demo.demonstrate(stack.home, record, Console(file=said, width=100), tmp_path)
    drawn, cutout, ground, large = (
        read_image(tmp_path / f"{name}.png") for name in ("generate", "cut_out", "background", "enlarge")
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert drawn.mode == "RGB"
    assert cutout.mode == "RGBA"
    assert cutout.size == drawn.size == ground.size
    assert cutout.getchannel("A").getextrema() == (0, 255)
    assert ground.convert("RGB").getpixel((2, 2)) == (0xD9, 0xE4, 0xE8)
    assert large.size == (2 * drawn.width, 2 * drawn.height)
    assert [task["status"] for task in report["tasks"]] == ["COMPLETED"] * 7
    assert report["steps_shown"] > 0, "a quiet task's progress is shown to who watches it"
    photograph, cut, changed, enlarged = (
        read_image(tmp_path / f"photograph{of}.png") for of in ("", "_cutout", "_ground", "_enlarged")
    )
    alpha = cut.getchannel("A")
    assert alpha.getpixel((2, 2)) == 0 and alpha.getpixel((120, 70)) == 255
    assert changed.size == photograph.size and changed.convert("RGB").getpixel((2, 2)) == (0xD9, 0xE4, 0xE8)
    assert enlarged.size == (photograph.width * 4, photograph.height * 4)
    assert report["model"]["licence"]
    assert read_image(tmp_path / "contact_sheet.png").width == contact_sheet.WIDTH
    for step in ("generate", "cut_out", "background", "enlarge"):
        assert re.search(rf"^ *{step} .*done", said.getvalue(), re.MULTILINE), said.getvalue()


def test_a_failed_demo_names_the_component_and_shows_its_log(stack: RunningStack, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"(?s)answered 422.*gateway.*last lines of .*gateway\.log"):
        demo.demonstrate(stack.home, demo.DemoReport(""), Console(file=io.StringIO()), tmp_path)


def test_server_sent_events_are_read_past_comments_and_ids() -> None:
    text = ': hello\n\nid: 7\nevent: progress\ndata: {"step": 1}\n\nevent: task\ndata: {"a":\ndata: 2}\n\n'
    assert list(parse_events(iter(text.splitlines()))) == [
        StreamedEvent("progress", {"step": 1}),
        StreamedEvent("task", {"a": 2}),
    ]


@pytest.mark.parametrize("count", [0, 1, 9, 40])
def test_the_contact_sheet_takes_any_number_of_previews(count: int) -> None:
    picture = Image.new("RGB", (64, 96), "red")
    previews = [DenoisingPreview(number + 1, Image.new("RGB", (8, 12))) for number in range(count)]
    sheet = contact_sheet.draw("a prompt " * 30, previews, {"a": picture, "b": picture.convert("RGBA")}, "footer")
    assert sheet.width == contact_sheet.WIDTH
