"""The table of matte networks: the contract's names, and what docs/pictures.md says of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from deploy.triton.runtime.artefacts import registry
from services.catalog.providers.local import REMBG_MODELS, LocalProviderConfig, RembgModel

DOCUMENT = Path(__file__).parents[2] / "docs" / "pictures.md"


def test_every_name_of_the_contract_stands_in_the_document_with_what_becomes_of_it() -> None:
    chapter = DOCUMENT.read_text().partition("## Which network cuts out")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", chapter.partition("|---|")[2], re.MULTILINE))
    assert rows == REMBG_MODELS
    assert set(rows) == set(get_args(RembgModel))


def test_what_is_here_is_what_the_set_up_fetches_to_cut_out_with() -> None:
    here = {name for name, told in REMBG_MODELS.items() if told.startswith("here")}
    fetched = {name for name, found in registry().items() if found.serves == "segmentation"}
    assert here and here == fetched & set(get_args(RembgModel))


def test_a_task_that_names_none_leaves_the_choice_to_the_picture() -> None:
    assert LocalProviderConfig().rembg_model is None
