"""What the API takes for an address or a path is never more than what the loader and storage take."""

from __future__ import annotations

import pytest

from services.catalog.images import check_path, check_url
from tests.corpora.paths import REFUSED
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
