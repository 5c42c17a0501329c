"""`make models` lists every model that is here; `make model` takes one from a hub and draws with it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.local import kept, runfile
from deploy.local.failures import LocalError
from deploy.local.hub.client import PUBLIC_HUB, connect
from deploy.local.hub.dry_run import dry_run
from deploy.local.hub.failures import HubUnreachable
from deploy.local.hub.fetching import Fetch, check_whole, fetched
from deploy.local.hub.progress import Progress
from deploy.local.paths import HUB_MODELS, ROOT, StackFolder, shown
from deploy.local.terminal import said_plainly
from deploy.local.triton import STARTER as STARTER_MODEL
from deploy.triton.runtime.artefacts import Artefact, ArtefactRefused, registry

SETTING = "MODEL_PATH"
STARTER = "starter"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make model", description=__doc__)
    parser.add_argument("action", choices=("list", "choose"))
    parser.add_argument("--id", default="", help="owner/name, as its page on the hub is called; or `starter`")
    parser.add_argument("--revision", default="", help="branch, tag or commit; `main` unless given")
    given = parser.parse_args()
    if given.action == "list":
        said_plainly(lambda: print("\n\n".join(listed(StackFolder(), HUB_MODELS))))
    else:
        said_plainly(lambda: choose(StackFolder(), HUB_MODELS, given.id, given.revision))


def choose(home: StackFolder, root: Path, id: str, revision: str, *, try_out: Callable[[Path], None] = dry_run) -> None:
    """Fetches the model where it is not here yet, and keeps it for the next `make up`. Raises LocalError."""
    if not id:
        raise LocalError("Which one? make model ID=owner/name [REVISION=…], or ID=starter for the one that came along")
    if id == STARTER and revision:
        raise LocalError(
            f"REVISION={revision} goes with a model of a hub; the starter comes with this checkout and has none. "
            "make model ID=starter goes back to it"
        )
    path = None if id == STARTER else had(root, id, revision, try_out).folder
    kept.keep(home.settings_file, SETTING, path)
    print(f"{id} is the generation model: {SETTING} in {shown(home.settings_file)}.")
    if os.environ.get(SETTING):
        print(f"Beware: {SETTING}={os.environ[SETTING]} in the environment goes first.")
    print(
        "make down, then make up: the stack runs with the one before."
        if runfile.supervisor(home)
        else "Start it: make up"
    )


def had(root: Path, id: str, revision: str, try_out: Callable[[Path], None]) -> Artefact:
    """From the hub; where that is out of reach, what was fetched before. Raises HubError."""
    endpoint, token = os.environ.get("HF_ENDPOINT") or PUBLIC_HUB, os.environ.get("HF_TOKEN")
    try:
        with connect(endpoint, token) as hub:
            return Fetch(hub, root, Progress(), try_out).run(id, revision or "main")
    except HubUnreachable as error:
        before = [one for one in fetched(root) if one.package == id and one.version.startswith(revision)]
        if not before:
            raise
        print(f"{error}\nTaking the one that was fetched before, {before[-1].version}.", file=sys.stderr)
        check_whole(Path(before[-1].folder), try_out)
        return before[-1]


def listed(home: StackFolder, root: Path) -> Iterator[str]:
    """A paragraph for each model of the registry, of the hub, and for one of the user's own."""
    chosen = os.environ.get(SETTING) or kept.read(home.settings_file).get(SETTING)
    known = [*registry().values(), *fetched(root)]
    in_use = Path(chosen).resolve() if chosen else None
    for artefact in known:
        own = artefact.name == STARTER_MODEL if in_use is None else _lies_at(artefact, in_use)
        yield _paragraph(artefact, chosen=own)
    if in_use is not None and not any(_lies_at(artefact, in_use) for artefact in known):
        yield f"{in_use}  (the generation model, by {SETTING})\n  a folder of your own: no hashes are known of it"


def _lies_at(artefact: Artefact, folder: Path) -> bool:
    paths = list(artefact.paths().values()) if artefact.folder else []
    return any(path.resolve().is_relative_to(folder) for path in paths)


def _paragraph(artefact: Artefact, *, chosen: bool) -> str:
    paths = artefact.paths()
    size = sum(path.stat().st_size for path in paths.values() if path.is_file())
    rows = {
        "serves": f"{artefact.serves}: {artefact.purpose}",
        "source": artefact.source,
        "licence": artefact.licence + (f"; {artefact.licence_seen}" if artefact.licence_seen else ""),
        "files": f"{len(paths)}, {size / 1e6:.1f} MB, in {shown(_common(paths))}",
        "hash": f"{artefact.sha256}: {_state(artefact)}",
    }
    head = f"{artefact.name}{'  (the generation model)' if chosen else ''}"
    return "\n".join([head, *(f"  {name:8} {text}" for name, text in rows.items() if text)])


def _common(paths: dict[str, Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths.values()])).absolute() if paths else ROOT


def _state(artefact: Artefact) -> str:
    if not artefact.wheel_sha256 or artefact.present():
        try:
            artefact.verified()
        except ArtefactRefused as error:
            return f"WRONG. {error}"
        return "right"
    return f"not here; {artefact.without}. {artefact.remedy}"


if __name__ == "__main__":
    main()
