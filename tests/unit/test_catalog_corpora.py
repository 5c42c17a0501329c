"""What the API takes for an address or a path is never more than what the loader and storage take."""

from __future__ import annotations

import pytest

from services.catalog.images import check_input, check_path, check_reference, check_url
from tests.corpora.paths import KEPT, REFUSED
from tests.corpora.urls import INWARD

# Which ports may be reached is a setting of the loader.
ODD_PORTS = (":22/", ":25/", ":6379/")


@pytest.mark.parametrize("url", [url for url in INWARD if not url.endswith(ODD_PORTS)], ids=ascii)
def test_an_address_that_leads_inside_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(ValueError, match="must be a public"):
        check_url(url)


@pytest.mark.parametrize("path", [path for path in REFUSED if len(path) <= 512], ids=ascii)
def test_a_path_that_storage_refuses_is_refused_at_once(path: str) -> None:
    with pytest.raises(ValueError, match="must be a storage path"):
        check_path(path)


@pytest.mark.field("35")
@pytest.mark.parametrize("path", KEPT, ids=ascii)
def test_a_path_that_storage_keeps_can_be_named_in_a_request(path: str) -> None:
    assert check_path(path) == check_reference(path) == check_input(path) == path


def test_a_request_names_a_path_in_either_composition() -> None:
    assert check_path("shots/e\u0301.png") == "shots/\u00e9.png"
