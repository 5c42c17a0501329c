"""Fetches a model: what has come stays until all of it is there and right; only then it is installed, in one step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.failures import LocalError
from deploy.local.hub import rules, weights
from deploy.local.hub.client import Hub, HubFile, HubRepository
from deploy.local.hub.failures import DiskFull, FileCorrupt, HubAnswerUnusable, HubUnreachable
from deploy.local.hub.progress import Progress
from deploy.triton.runtime.artefacts import MANIFEST, Artefact, ArtefactRefused, read_manifest

# Beyond the files themselves: what the stack writes meanwhile.
_SPARE_BYTES = 256 << 20
_TRIES, _PAUSE_SECONDS = 5, 1.0
_CHUNK = 1 << 20
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Fetch:
    """Of one model into `root/owner--name/commit`.

    `try_out` raises HubError for a folder whose configurations make no model; it is asked before large files come.
    """

    hub: Hub
    root: Path
    progress: Progress
    try_out: Callable[[Path], None]

    def run(self, id: str, revision: str) -> Artefact:
        """The model, installed and right. Raises HubError."""
        with _writing(), _alone(self.root):
            repository = self.hub.repository(id, revision)
            self.progress.say(f"{id} at {repository.commit}; licence: {repository.licence}")
            self.progress.say(f"read what the licence allows: {self.hub.page_of(id)}")
            target = self.root / id.replace("/", "--") / repository.commit
            if _intact(target):
                check_whole(target, self.try_out)
            else:
                self._install(repository, target)
            return read_manifest(target / MANIFEST)

    def _install(self, repository: HubRepository, target: Path) -> None:
        staging = self.root / ".partial" / f"{target.parent.name}@{target.name}"
        if target.exists() and not staging.exists():
            # Damaged: what of it is right need not come again.
            staging.parent.mkdir(exist_ok=True)
            os.replace(target, staging)
        files = self._files(repository, staging)
        for number, file in enumerate(files, start=1):
            if file.path.endswith(weights.SUFFIX) and not files[number - 2].path.endswith(weights.SUFFIX):
                self._judge(repository, files, staging)  # all that is small has come
            with self.progress.file(number, len(files), file):
                self._take(repository, file, staging)
            if file.path.endswith(".json"):
                rules.check_configuration(file.path, _parsed(staging / file.path), files)
        digests = {file.path: _sha256(staging / file.path, file) for file in files}
        _drop_strangers(staging, digests)
        (staging / MANIFEST).write_text(json.dumps(self._manifest(repository, digests), indent=1), encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging, target)

    def _files(self, repository: HubRepository, staging: Path) -> list[HubFile]:
        """Those that are to come, judged before any large one is asked for, and with room for all of them."""
        rules.check_names(repository.files)
        index = rules.index_of(repository.files)
        _check_room(self.root, [index])
        self._take(repository, index, staging)
        files = rules.chosen(repository.files, _parsed(staging / index.path))
        missing = [file for file in files if not (staging / file.path).exists()]
        _check_room(self.root, missing)
        self.progress.say(f"{sum(file.size for file in missing) / 1e9:.2f} GB in {len(missing)} files are to come")
        return files

    def _judge(self, repository: HubRepository, files: Sequence[HubFile], staging: Path) -> None:
        """Whether its parts make a model, by its configurations and what the heads of its weight files say."""
        self.progress.say("reading the heads of its weights, and putting it together without the rest of them")

        def read(file: HubFile, begin: int, end: int) -> bytes:
            for path in (staging / file.path, staging / f"{file.path}{_PART}"):
                if _size(path) >= end:
                    return _bytes_of(path, begin, end)
            return self.hub.read(repository, file, begin, end)

        heads = _heads(files, staging, read)
        with tempfile.TemporaryDirectory(dir=self.root / ".partial", prefix=".trial-") as trial:
            _lay_out(Path(trial), files, heads, staging)
            self.try_out(Path(trial))

    def _take(self, repository: HubRepository, file: HubFile, staging: Path) -> None:
        """Goes on where it stopped, in this run or an earlier one. Raises FileCorrupt for another content."""
        target = staging / file.path
        if target.exists() and _hash_of(target, file) == file.digest:
            return
        part = target.with_name(target.name + _PART)
        part.parent.mkdir(parents=True, exist_ok=True)
        self._download(repository, file, part)
        _check(part, file)
        os.replace(part, target)

    def _download(self, repository: HubRepository, file: HubFile, part: Path) -> None:
        tries = _TRIES
        part.touch()
        while (had := _size(part)) != file.size:
            try:
                self._append(repository, file, part, had if had < file.size else 0)
            except HubUnreachable:
                tries = _TRIES if _size(part) > had else tries - 1
                if not tries:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def _append(self, repository: HubRepository, file: HubFile, part: Path, offset: int) -> None:
        """Raises HubUnreachable where it breaks off, the orderly way too."""
        with self.hub.open(repository, file, offset) as (begin, chunks), part.open("r+b" if offset else "wb") as out:
            if begin > offset:
                raise HubAnswerUnusable(f"the hub sends {file.path} from byte {begin} on, not from {offset}")
            out.seek(begin)
            out.truncate()
            for chunk in chunks:
                out.write(chunk)
                self.progress.reached(out.tell())
        if file.size != _size(part):
            raise HubUnreachable(f"{file.path} broke off; run the command again and it goes on from there")

    def _manifest(self, repository: HubRepository, digests: dict[str, str]) -> dict[str, Any]:
        return {
            "id": repository.id,
            "revision": repository.commit,
            "licence": repository.licence,
            "upstream": self.hub.page_of(repository.id),
            "files": digests,
        }


def fetched(root: Path) -> list[Artefact]:
    """Every model that was installed there, the newest last. Raises LocalError where one cannot be read."""
    manifests = sorted(root.glob(f"[!.]*/*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    try:
        return [read_manifest(path) for path in manifests]
    except ArtefactRefused as error:
        raise LocalError(str(error)) from error


def check_whole(folder: Path, try_out: Callable[[Path], None]) -> None:
    """Of what was installed before this was asked of a model. Raises HubError."""
    known = read_manifest(folder / MANIFEST)
    files = [HubFile(path, (folder / path).stat().st_size, digest, "sha256") for path, digest in known.files.items()]
    chosen = rules.chosen(files, _parsed(folder / rules.INDEX))
    for file in chosen:
        if file.path.endswith(".json"):
            rules.check_configuration(file.path, _parsed(folder / file.path), files)
    _heads(chosen, folder, lambda file, begin, end: _bytes_of(folder / file.path, begin, end))
    try_out(folder)


def _heads(
    files: Sequence[HubFile], folder: Path, read: Callable[[HubFile, int, int], bytes]
) -> dict[str, weights.Head]:
    """Of all weight files, which fit each other and their indexes. Raises WeightsInvalid."""
    found = {
        file.path: weights.read_head(file.path, file.size, partial(read, file))
        for file in files
        if file.path.endswith(weights.SUFFIX)
    }
    indexes = [file.path for file in files if file.path.endswith(weights.INDEX_SUFFIX)]
    weights.check_shards(found, {path: _parsed(folder / path) for path in indexes})
    return found


def _lay_out(trial: Path, files: Sequence[HubFile], heads: Mapping[str, weights.Head], staging: Path) -> None:
    """The model as it will be, its weights as files of the right size without numbers."""
    for file in files:
        path = trial / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if head := heads.get(file.path):
            head.lay(path)
        else:
            path.symlink_to((staging / file.path).absolute())


def _bytes_of(path: Path, begin: int, end: int) -> bytes:
    with path.open("rb") as content:
        content.seek(begin)
        return content.read(end - begin)


def _intact(target: Path) -> bool:
    try:
        read_manifest(target / MANIFEST).verified()
    except ArtefactRefused:
        return False
    return True


def _check(part: Path, file: HubFile) -> None:
    """What is wrong is thrown away, for it would be wrong again."""
    found = _hash_of(part, file)
    if found != file.digest:
        part.unlink()
        name = "SHA-256" if file.kind == "sha256" else "git hash"
        raise FileCorrupt(
            f"{file.path} is not the file that the hub lists: its {name} is {found}, not {file.digest}. It was thrown "
            "away; what else has come is kept. Run the command again, and look for another hub if it says the same"
        )


def _hash_of(path: Path, file: HubFile) -> str:
    return _sha256_of(path) if file.kind == "sha256" else _git_blob(path)


def _sha256(path: Path, file: HubFile) -> str:
    """For the manifest."""
    return file.digest if file.kind == "sha256" else _sha256_of(path)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git_blob(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _parsed(path: Path) -> Any:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise HubAnswerUnusable(f"{path.name} is not JSON") from error
    if path.name == rules.INDEX and not isinstance(said, dict):
        raise HubAnswerUnusable(f"{path.name} is no object of JSON")
    return said


def _drop_strangers(staging: Path, wanted: dict[str, str]) -> None:
    """What an interrupted run left of files that were wanted once."""
    for path in staging.rglob("*"):
        if path.is_file() and path.relative_to(staging).as_posix() not in wanted:
            path.unlink()


def _check_room(folder: Path, files: Sequence[HubFile]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(file.size for file in files) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(f"it needs {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free")


@contextmanager
def _writing() -> Iterator[None]:
    """Raises DiskFull where another has taken the room meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            "the disk is full. What has come is kept: make room and run the command again, it goes on from there"
        ) from error


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two of them at once would write into each other's files: the second waits."""
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        lock = held.enter_context((root / ".lock").open("a"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
