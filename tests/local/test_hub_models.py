"""`make model`: a model out of a hub comes whole and right, or not at all and says why."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from deploy.local import kept, models, triton
from deploy.local.failures import LocalError
from deploy.local.hub import fetching, rules
from deploy.local.hub.client import connect
from deploy.local.hub.fetching import Fetch, fetched
from deploy.local.hub.progress import Progress
from deploy.local.lifecycle import describe
from deploy.local.paths import MODELS_PYTHON, ROOT, StackFolder
from deploy.local.settings import Ports
from deploy.triton.runtime.artefacts import Artefact
from tests.fakes.hub import HubServer, Shelf
from tests.reliability.disks import disk

ID = "maker/tiny"
UNET = "unet/diffusion_pytorch_model.safetensors"


def tensors(*names: str, bytes_each: int = 4) -> bytes:
    """A weight file with tensors of those names."""
    said = {
        name: {"dtype": "F32", "shape": [bytes_each // 4], "data_offsets": [at * bytes_each, (at + 1) * bytes_each]}
        for at, name in enumerate(names)
    }
    head = json.dumps(said).encode()
    numbers = (bytes(range(256)) * (bytes_each * len(names) // 256 + 1))[: bytes_each * len(names)]
    return len(head).to_bytes(8, "little") + head + numbers


LARGE = tensors("conv.weight", bytes_each=3_072_000)


def index(**changes: Any) -> bytes:
    parts = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    return json.dumps({name: said for name, said in (parts | changes).items() if said is not None}).encode()


def shelf(files: dict[str, bytes | None] | None = None, **more: Any) -> Shelf:
    """As repositories are: what is wanted, and much besides. None leaves a file out."""
    held: dict[str, bytes | None] = {
        ".gitattributes": b"*.safetensors filter=lfs",
        "README.md": b"# tiny",
        "LICENSE.md": b"Apache License",
        "model_index.json": index(),
        "sd-v1.ckpt": b"pickle",
        "scheduler/scheduler_config.json": b"{}",
        "text_encoder/config.json": b"{}",
        "text_encoder/model.safetensors": tensors("encoder"),
        "tokenizer/vocab.json": b"{}",
        "tokenizer/merges.txt": b"#version: 0.2\n",
        "safety_checker/model.safetensors": b"unused",
        "unet/config.json": b'{"sample_size": 16}',
        UNET: LARGE,
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"variant",
        "vae/config.json": b"{}",
        "vae/diffusion_pytorch_model.safetensors": tensors("decoder"),
    }
    return Shelf({name: content for name, content in (held | (files or {})).items() if content is not None}, **more)


WANTED = {
    "LICENSE.md",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    UNET,
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def at_home(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("MODEL_PATH", raising=False)
    return StackFolder(tmp_path / "home")


def untried(folder: Path) -> None:
    """For tests of what comes before: these files are letters, which no library would read as a model."""


def choose(home: StackFolder, root: Path, id: str, revision: str) -> None:
    models.choose(home, root, id, revision, try_out=untried)


def fetch(hub: HubServer, root: Path, *, revision: str = "main", id: str = ID, token: str | None = None) -> Artefact:
    with connect(hub.endpoint, token) as client:
        return Fetch(client, root, Progress(io.StringIO()), untried).run(id, revision)


def refused(hub: HubServer, root: Path, reason: str, **options: Any) -> str:
    """The message; nothing was installed."""
    with pytest.raises(LocalError) as caught:
        fetch(hub, root, **options)
    assert str(caught.value).startswith(f"{reason}: "), str(caught.value)
    assert fetched(root) == []
    return str(caught.value)


def held(folder: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def test_what_a_pipeline_loads_is_fetched_and_nothing_else(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(revisions=("main", "v1"), licence="openrail++")
    model = fetch(hub, root, revision="v1")
    assert held(model.folder) == WANTED | {"atelier.manifest"}
    assert (Path(model.folder) / UNET).read_bytes() == LARGE
    assert (model.name, model.licence, model.version) == (ID, "openrail++", hub.shelves[ID].commit)
    assert set(model.verified()) == WANTED
    assert not any(name.endswith((".ckpt", ".bin")) for _, name, _ in hub.asked)


def test_what_is_there_is_not_fetched_again(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf()
    first = fetch(hub, root)
    hub.asked.clear()
    assert fetch(hub, root) == first
    assert len(hub.asked) == 1


def test_only_what_was_damaged_since_comes_again(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf()
    first = fetch(hub, root)
    (Path(first.folder) / "unet/config.json").write_bytes(b"{}")
    hub.asked.clear()
    assert fetch(hub, root).verified()
    assert [path for _, path, _ in hub.asked[1:]] == [f"/{ID}/resolve/{first.version}/unet/config.json"]


def test_a_connection_that_is_cut_goes_on_where_it_was(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(cuts={UNET: [1_000_000, 500_000]})
    fetch(hub, root)
    assert hub.ranges_of(UNET)[::2] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_command_that_was_ended_goes_on_the_next_time(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(cuts={UNET: [1_000_000, 0, 0, 0, 0, 0]})
    assert "run the command again" in refused(hub, root, "HUB_UNREACHABLE")
    hub.asked.clear()
    fetch(hub, root)
    assert hub.ranges_of(UNET)[0] == "bytes=1000000-"
    assert hub.ranges_of("model_index.json") == []


def test_a_killed_command_goes_on_the_next_time(hub: HubServer, root: Path) -> None:
    """What it had written is there, whole or not: the hash says so."""
    hub.shelves[ID] = shelf()
    part = root / ".partial" / f"maker--tiny@{hub.shelves[ID].commit}" / f"{UNET}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(LARGE[:70_000])
    assert (Path(fetch(hub, root).folder) / UNET).read_bytes() == LARGE
    assert hub.ranges_of(UNET)[0] == "bytes=70000-"


def test_a_hub_that_knows_no_parts_begins_anew(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(cuts={UNET: [1_000_000]}, knows_parts=False)
    assert fetch(hub, root).verified()


@pytest.mark.parametrize("name", [UNET, "unet/config.json"])
def test_a_file_with_another_hash_is_thrown_away(hub: HubServer, root: Path, name: str) -> None:
    """Of the same length: the weights by SHA-256, a small file by git's own hash."""
    hub.shelves[ID] = shelf()
    right = hub.shelves[ID].files[name]
    hub.shelves[ID].swapped[name] = right[:-1] + b"?"
    message = refused(hub, root, "FILE_CORRUPT")
    assert name in message and "thrown away" in message
    assert not list(root.rglob(f"{name}*"))
    hub.shelves[ID].swapped.clear()
    assert fetch(hub, root).verified()


def test_a_file_that_does_not_end_is_stopped(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(swapped={UNET: LARGE * 2})
    assert "longer than" in refused(hub, root, "FILE_CORRUPT")


def test_a_gated_model_says_what_to_do(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(gated=True, token="good")
    message = refused(hub, root, "HUB_ACCESS_DENIED")
    assert "accept its terms" in message and "HF_TOKEN" in message
    assert "accept its terms" in refused(hub, root, "HUB_ACCESS_DENIED", token="bad")
    assert fetch(hub, root, token="good").verified()


def test_a_token_goes_to_the_hub_alone(hub: HubServer, root: Path) -> None:
    """Large files lie with somebody else."""
    hub.shelves[ID] = shelf(token="good")
    assert fetch(hub, root, token="good").verified()
    assert hub.ranges_of(UNET) == [None, None]
    assert hub.leaked == []


def test_a_model_that_is_not_shown_is_not_told_from_one_that_is_not_there(hub: HubServer, root: Path) -> None:
    assert "or it is private" in refused(hub, root, "MODEL_NOT_FOUND", id="maker/none")


def test_a_revision_that_is_not_there_is_named(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf()
    assert "'v9'" in refused(hub, root, "REVISION_NOT_FOUND", revision="v9")


@pytest.mark.parametrize(
    "id", ["tiny", "../tiny", "a/b/c", "maker/..", "maker/ti ny", "maker/tiny?x", "", "https://x/y"]
)
def test_an_id_that_is_none_asks_nobody(hub: HubServer, root: Path, id: str) -> None:
    refused(hub, root, "MODEL_ID_INVALID", id=id)
    assert hub.asked == []


@pytest.mark.parametrize("revision", ["../main", "a b", "-x", "refs/../../x"])
def test_a_revision_that_is_none_asks_nobody(hub: HubServer, root: Path, revision: str) -> None:
    refused(hub, root, "MODEL_ID_INVALID", revision=revision)
    assert hub.asked == []


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "unet/../../outside.json",
        "/etc/outside.json",
        "unet//x.json",
        "unet\\..\\x.json",
        "C:x.json",
        "./model_index.json",
        "unet/..",
        "unet/\x7fx.json",
        "unet/",
    ],
)
def test_a_file_name_that_leads_out_takes_nothing(hub: HubServer, root: Path, name: str) -> None:
    said = {"rfilename": name, "size": 2, "blobId": "9e26dfeeb6e641a33dae4961196235bdb965b21b"}
    hub.shelves[ID] = shelf(listed=[said])
    refused(hub, root, "FILE_NAME_UNSAFE")
    assert held(str(root)) == {".lock"}


def test_a_component_that_leads_out_takes_nothing(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf({"model_index.json": index(**{"../unet": ["diffusers", "UNet2DConditionModel"]})})
    refused(hub, root, "FILE_NAME_UNSAFE")


def test_pickles_alone_are_refused(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf({UNET: None, "unet/diffusion_pytorch_model.fp16.safetensors": None})
    message = refused(hub, root, "PICKLES_REFUSED")
    assert "unet/diffusion_pytorch_model.bin" in message
    assert hub.ranges_of("unet/config.json") == []


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.pkl", "pytorch_model.bin"])
def test_a_lone_checkpoint_is_refused_as_a_pickle(hub: HubServer, root: Path, name: str) -> None:
    hub.shelves[ID] = Shelf({name: b"pickle"})
    assert name in refused(hub, root, "PICKLES_REFUSED")


def test_a_single_file_of_safetensors_is_no_diffusers_model(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = Shelf({"model.safetensors": b""})
    assert "no model_index.json" in refused(hub, root, "MODEL_UNSUPPORTED")


def test_a_variant_alone_is_refused(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf({UNET: None})
    assert "as a variant only" in refused(hub, root, "MODEL_UNSUPPORTED")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_class_name": "KandinskyPipeline"}, "MODEL_UNSUPPORTED"),
        ({"_class_name": ["pipeline", "Mine"]}, "CODE_REFUSED"),
        ({"unet": ["my_unet", "Mine"]}, "CODE_REFUSED"),
        ({"image_projector": ["diffusers", "AutoencoderKL"]}, "MODEL_UNSUPPORTED"),
        ({"unet": ["diffusers"]}, "CODE_REFUSED"),
    ],
)
def test_other_pipelines_and_code_of_their_own_are_refused(
    hub: HubServer, root: Path, changes: dict[str, Any], reason: str
) -> None:
    hub.shelves[ID] = shelf({"model_index.json": index(**changes)})
    refused(hub, root, reason)
    assert hub.ranges_of(UNET) == []


def test_code_that_a_component_names_is_refused_before_its_weights_come(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf({"unet/config.json": b'{"auto_map": {"AutoModel": "mine.Model"}}'})
    assert "auto_map" in refused(hub, root, "CODE_REFUSED")
    assert hub.ranges_of(UNET) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b"[" * 100_000])
def test_an_index_that_is_none_is_said(hub: HubServer, root: Path, content: bytes) -> None:
    hub.shelves[ID] = shelf({"model_index.json": content})
    refused(hub, root, "HUB_ANSWER_UNUSABLE")


def test_a_hub_that_lists_no_hash_is_not_believed(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(listed=[{"rfilename": "x.json", "size": 2}])
    refused(hub, root, "HUB_ANSWER_UNUSABLE")


def test_a_hub_that_is_ill_or_away_is_said(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(broken=1)
    assert "503" in refused(hub, root, "HUB_UNREACHABLE")
    with HubServer().running() as gone:
        pass
    assert "HF_ENDPOINT" in refused(gone, root, "HUB_UNREACHABLE")


def test_too_little_room_is_said_before_anything_large_comes(hub: HubServer, root: Path) -> None:
    huge = {"rfilename": "unet/model.safetensors", "size": 10**16, "lfs": {"sha256": "0" * 64, "size": 10**16}}
    hub.shelves[ID] = shelf(listed=[huge])
    assert "GB are free" in refused(hub, root, "DISK_FULL")
    assert hub.ranges_of(UNET) == []


def test_a_disk_that_runs_full_on_the_way_keeps_what_came(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_SPARE_BYTES", -(1 << 40))
    hub.shelves[ID] = shelf()
    with disk(tmp_path / "disk") as small:
        small.leave(2_000)
        assert "make room" in refused(hub, small.folder / "hub", "DISK_FULL")
        small.grow()
        hub.asked.clear()
        assert fetch(hub, small.folder / "hub").verified()
        first = hub.ranges_of(UNET)[0]
        assert first is not None and int(first.removeprefix("bytes=").rstrip("-")) > 1_000_000


_OWN_CLIENT = """
import json, sys
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

info = HfApi().model_info("maker/tiny", files_metadata=True)
for found in info.siblings:
    hf_hub_download("maker/tiny", found.rfilename, revision=info.sha, local_dir="there")
refusals = []
for id, revision in (("maker/none", "main"), ("maker/tiny", "v9"), ("maker/gated", "main")):
    try:
        HfApi().model_info(id, revision=revision)
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        refusals.append(type(error).__name__)
facts = {found.rfilename: found.lfs.sha256 if found.lfs else found.blob_id for found in info.siblings}
print(json.dumps([info.sha, info.card_data.license, refusals, facts]))
"""


def test_the_hubs_own_client_understands_the_hub_of_these_tests(hub: HubServer, tmp_path: Path) -> None:
    """Else these tests would show that two misreadings of the protocol fit each other."""
    hub.shelves |= {ID: shelf(), "maker/gated": shelf(gated=True, token="good")}
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    command = (str(MODELS_PYTHON), "-c", _OWN_CLIENT)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there = tmp_path / "there"
    got = {name: (there / name).read_bytes() for name in held(str(there)) if not name.startswith(".cache/")}
    assert got == hub.shelves[ID].files
    commit, licence, refusals, facts = json.loads(done.stdout)
    with connect(hub.endpoint, None) as client:
        ours = client.repository(ID, "main")
    assert (commit, licence, facts) == (ours.commit, ours.licence, {file.path: file.digest for file in ours.files})
    assert refusals == ["RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError"]


# --- whole, or refused by the names of what is missing ---

SHARDED = b'{"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors", "b": "%s"}}'
FIRST, SECOND = (f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2))
SHARDS = {
    UNET: None,
    "unet/diffusion_pytorch_model.bin": None,
    "unet/diffusion_pytorch_model.fp16.safetensors": None,
    FIRST: tensors("a"),
    SECOND: tensors("b"),
    f"{UNET}.index.json": SHARDED % b"diffusion_pytorch_model-00002-of-00002.safetensors",
}


@pytest.mark.field("incomplete-hub-model")
@pytest.mark.parametrize("component", ["scheduler", "text_encoder", "tokenizer", "unet", "vae"])
@pytest.mark.parametrize("named", [True, False])
def test_a_repository_without_a_part_is_refused_before_its_weights_come(
    hub: HubServer, root: Path, component: str, named: bool
) -> None:
    without = {name: None for name in shelf().files if name.startswith(f"{component}/")}
    hub.shelves[ID] = shelf({**without, "model_index.json": index() if named else index(**{component: None})})
    message = refused(hub, root, "MODEL_UNSUPPORTED")
    assert f"not a whole StableDiffusionPipeline. Missing: {component}" in message
    assert not any(name.endswith(".safetensors") for _, name, _ in hub.asked)


def test_all_that_is_missing_is_named_at_once(hub: HubServer, root: Path) -> None:
    gone = dict.fromkeys(["vae/config.json", "scheduler/scheduler_config.json", "text_encoder/model.safetensors"])
    hub.shelves[ID] = shelf({**gone, "model_index.json": index(tokenizer=[None, None])})
    assert refused(hub, root, "MODEL_UNSUPPORTED").endswith(
        "Missing: tokenizer (model_index.json names none), scheduler/scheduler_config.json, "
        "text_encoder/model.safetensors, vae/config.json"
    )


@pytest.mark.parametrize(
    ("pipeline", "given", "missing"),
    [
        ("StableDiffusionXLPipeline", {"text_encoder": [None, None], "tokenizer": [None, None]}, "text_encoder_2"),
        ("StableDiffusionXLPipeline", {"tokenizer_2": ["transformers", "CLIPTokenizer"]}, "text_encoder_2"),
        ("FluxPipeline", {}, "text_encoder_2"),
        ("StableDiffusion3Pipeline", {"tokenizer_3": ["transformers", "T5TokenizerFast"]}, "text_encoder_3"),
    ],
)
def test_each_family_names_the_encoders_it_needs(
    hub: HubServer, root: Path, pipeline: str, given: dict[str, Any], missing: str
) -> None:
    hub.shelves[ID] = shelf({"model_index.json": index(_class_name=pipeline, **given)})
    assert f"{missing} (model_index.json names none)" in refused(hub, root, "MODEL_UNSUPPORTED")


@pytest.mark.parametrize(
    "kept", [("tokenizer.json",), ("spiece.model",), ("vocab.json", "merges.txt"), ("vocab.txt",)], ids="+".join
)
def test_any_form_of_a_vocabulary_will_do(hub: HubServer, root: Path, kept: tuple[str, ...]) -> None:
    given: dict[str, bytes | None] = dict.fromkeys(["tokenizer/vocab.json", "tokenizer/merges.txt"])
    hub.shelves[ID] = shelf({**given, **{f"tokenizer/{name}": b"{}" for name in kept}})
    assert fetch(hub, root).verified()


def test_weights_in_several_files_are_taken_where_all_are_there(hub: HubServer, root: Path) -> None:
    hub.shelves[ID] = shelf(SHARDS)
    assert set(fetch(hub, root).verified()) == (WANTED - {UNET}) | {name for name, held in SHARDS.items() if held}


@pytest.mark.parametrize(
    "changes",
    [
        {"unet/diffusion_pytorch_model-00002-of-00002.safetensors": None},
        {f"{UNET}.index.json": None},
        {f"{UNET}.index.json": SHARDED % b"diffusion_pytorch_model-00003-of-00003.safetensors"},
    ],
    ids=["a shard", "their index", "one that the index names"],
)
def test_a_missing_one_of_several_weight_files_is_named(
    hub: HubServer, root: Path, changes: dict[str, bytes | None]
) -> None:
    hub.shelves[ID] = shelf(SHARDS | changes)
    [(name, content)] = changes.items()
    missing = name if content is None else "unet/diffusion_pytorch_model-00003-of-00003.safetensors"
    assert f"Missing: {missing}" in refused(hub, root, "MODEL_UNSUPPORTED")


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"weight_map": {}}'])
def test_an_index_of_weights_that_says_nothing_is_refused(hub: HubServer, root: Path, content: bytes) -> None:
    hub.shelves[ID] = shelf({**SHARDS, f"{UNET}.index.json": content})
    assert "does not say where the weights lie" in refused(hub, root, "MODEL_UNSUPPORTED")


def test_one_that_was_fetched_before_this_was_asked_is_not_chosen_either(
    hub: HubServer, root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hub and without it."""
    with monkeypatch.context() as before:
        before.setattr(rules, "_lacking", lambda *_: [])
        hub.shelves[ID] = shelf({"vae/config.json": None})
        fetch(hub, root)
    for broken in (0, 1):
        hub.shelves[ID].broken = broken
        with pytest.raises(LocalError, match=r"Missing: vae/config\.json"):
            choose(at_home, root, ID, "")
    assert kept.read(at_home.settings_file) == {}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the Stable Diffusion family, with weights by chance."""
    folder = tmp_path_factory.mktemp("made")
    build = "import sys; sys.path.insert(0, 'tests/models'); from families import build; from pathlib import Path"
    command = (str(MODELS_PYTHON), "-c", f"{build}; build('sd', Path(sys.argv[1]))", str(folder))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder / "sd"


def without_tensor(file: str, name: str) -> dict[str, Callable[[bytes], bytes]]:
    """That tensor has another name, as long."""
    return {file: lambda content: content.replace(f'"{name}"'.encode(), f'"{name[::-1]}"'.encode())}


def change(file: str, **changes: Any) -> dict[str, Callable[[bytes], bytes]]:
    return {file: lambda content: json.dumps(json.loads(content) | changes).encode()}


@pytest.mark.field("misfitting-weights")
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({UNET: LARGE[:-1]}, f"its {UNET} is cut off: its tensors take 3072000 bytes, and 3071999 are there"),
        ({UNET: LARGE + b"!"}, f"its {UNET} is too long: *"),
        ({UNET: LARGE[:40]}, f"its {UNET} is no .safetensors file, or is cut off: *"),
        ({UNET: b""}, f"its {UNET} is no .safetensors file, or is cut off: *"),
        ({UNET: b"<html>not found</html>"}, f"its {UNET} is no .safetensors file, or is cut off: *"),
        ({UNET: (2).to_bytes(8, "little") + b"[]"}, f"its {UNET} does not say in its head which tensors it holds"),
        (
            {UNET: tensors("a").replace(b"[0, 4]", b"[0, 9]")},
            f"a in {UNET} lies at 0 to 9, where F32[1] * not fit",
        ),
        ({UNET: tensors("a", "b").replace(b'"b"', b'"a"')}, f"its {UNET} names a twice"),
        ({UNET: tensors("a").replace(b"F32", b"F8_")}, f"the numbers of a in {UNET} are F8_: quantised * not served"),
        (SHARDS | {SECOND: tensors("a", "b")}, f"a is there twice, in {FIRST} and in {SECOND}"),
        (SHARDS | {SECOND: tensors("b", "c")}, f"c in {SECOND} is superfluous: {UNET}.index.json does not name it"),
        (
            SHARDS | {SECOND: tensors()},
            f"b is missing in {SECOND}, where *",
        ),
    ],
    ids=["cut", "long", "head", "empty", "page", "list", "offsets", "twice", "quantised", "double", "more", "missing"],
)
def test_weights_that_are_not_what_their_head_and_index_say_are_refused_by_name_before_they_come(
    hub: HubServer, root: Path, at_home: StackFolder, files: dict[str, bytes | None], words: str
) -> None:
    """With the right hash: so they were uploaded."""
    hub.shelves[ID] = shelf()
    choose(at_home, root, ID, "")
    before = kept.read(at_home.settings_file)
    hub.shelves[ID] = shelf(files)
    with pytest.raises(LocalError) as caught:
        choose(at_home, root, ID, "")
    reason, _, said = str(caught.value).partition(": ")
    assert reason == "WEIGHTS_INVALID" and fnmatchcase(said, words.replace("[", "[[]")), said
    assert kept.read(at_home.settings_file) == before and len(fetched(root)) == 1
    assert len([part for part in hub.ranges_of(UNET) if part is None]) <= 2  # of the first one alone


def test_a_head_that_is_long_is_read_to_its_end(hub: HubServer, root: Path) -> None:
    names = [f"down_blocks.{at}.attentions.0.transformer_blocks.0.attn1.to_q.weight" for at in range(2_000)]
    hub.shelves[ID] = shelf({UNET: tensors(*names)})
    assert fetch(hub, root).verified()
    assert len(hub.heads_of(UNET)) == 4  # two parts, each led on to where large files lie


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        (
            change("model_index.json", unet=["diffusers", "UNet9000"]),
            "unet (UNet9000): diffusers 0.* has no such class",
        ),
        ({"tokenizer/tokenizer.json": lambda _: b"{}"}, "tokenizer (CLIPTokenizer*): *"),
        (change("unet/config.json", norm_num_groups=7), "unet (UNet2DConditionModel): *"),
        (change("text_encoder/config.json", num_attention_heads=7), "text_encoder (CLIPTextModel): *"),
        (change("unet/config.json", in_channels=9), "the network takes 9 channels, the VAE has 4: *"),
        (change("scheduler/scheduler_config.json", beta_schedule="odd"), "scheduler (DDIMScheduler): *"),
        (
            without_tensor(UNET, "conv_in.bias"),
            "unet (UNet2DConditionModel): the tensor conv_in.bias is missing, and 1 more",
        ),
    ],
    ids=["whole", "class", "vocabulary", "groups", "heads", "inpainting", "scheduler", "tensor"],
)
def test_a_model_is_put_together_without_its_weights_before_they_come(
    hub: HubServer,
    root: Path,
    at_home: StackFolder,
    whole: Path,
    changes: dict[str, Callable[[bytes], bytes]],
    words: str | None,
) -> None:
    files = Shelf.of(whole).files
    hub.shelves[ID] = Shelf(files | {name: made(files[name]) for name, made in changes.items()})
    if words is None:
        models.choose(at_home, root, ID, "")
        assert kept.read(at_home.settings_file)
        return
    with pytest.raises(LocalError) as caught:
        models.choose(at_home, root, ID, "")
    reason, *lines = str(caught.value).splitlines()
    assert reason.startswith("MODEL_UNSUPPORTED: ")
    assert len(lines) == 1 and fnmatchcase(lines[0].strip(), words), lines
    assert kept.read(at_home.settings_file) == {}
    assert not any(hub.ranges_of(name) for name in files if name.endswith(".safetensors"))


# --- the commands ---


def test_the_chosen_model_is_what_triton_is_started_with(hub: HubServer, root: Path, at_home: StackFolder) -> None:
    hub.shelves[ID] = shelf()
    choose(at_home, root, ID, "")
    folder = root / "maker--tiny" / hub.shelves[ID].commit
    assert triton.triton(at_home, Ports()).environment["MODEL_PATH"] == str(folder)
    choose(at_home, root, "starter", "")
    assert "MODEL_PATH" not in triton.triton(at_home, Ports()).environment


def test_make_up_says_plainly_what_draws(
    hub: HubServer, root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ten toy products" in triton.generation_model(at_home)
    assert "and nothing else" in triton.generation_model(at_home)
    hub.shelves[ID] = shelf(licence="openrail++")
    choose(at_home, root, ID, "")
    assert triton.generation_model(at_home).startswith(f"{ID} (openrail++)")
    facts = {"generation_model": triton.generation_model(at_home), "api_key": "", "gateway_url": "", "components": {}}
    assert f"draws      {ID} (openrail++)" in describe(facts | {"targets": defaultdict(str)})
    monkeypatch.setenv("MODEL_PATH", str(root))
    assert triton.generation_model(at_home) == f"{root}, a model of your own"


def test_the_environment_goes_before_what_was_chosen(
    hub: HubServer,
    root: Path,
    at_home: StackFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.shelves[ID] = shelf()
    monkeypatch.setenv("MODEL_PATH", "/mine")
    choose(at_home, root, ID, "")
    assert "MODEL_PATH=/mine in the environment goes first" in capsys.readouterr().out
    assert "MODEL_PATH" not in triton.triton(at_home, Ports()).environment


def test_a_refused_model_leaves_the_choice_as_it_was(hub: HubServer, root: Path, at_home: StackFolder) -> None:
    hub.shelves[ID] = shelf()
    choose(at_home, root, ID, "")
    before = kept.read(at_home.settings_file)
    with pytest.raises(LocalError, match="MODEL_NOT_FOUND"):
        choose(at_home, root, "maker/none", "")
    assert kept.read(at_home.settings_file) == before


@pytest.mark.field("starter-with-a-revision")
def test_the_starter_has_no_revision(hub: HubServer, root: Path, at_home: StackFolder) -> None:
    """It was ignored in silence; what was chosen before stays."""
    hub.shelves[ID] = shelf()
    choose(at_home, root, ID, "")
    before = kept.read(at_home.settings_file)
    with pytest.raises(LocalError, match=r"REVISION=v1 .*the starter comes with this checkout"):
        choose(at_home, root, "starter", "v1")
    assert kept.read(at_home.settings_file) == before


@pytest.mark.field("file-as-a-hub")
@pytest.mark.parametrize(
    "endpoint",
    ["file:///models", "/models", "huggingface.co", "ftp://hub", "https://", "http://[", "http://hub:x", "http://a b"],
)
def test_an_address_that_is_no_hubs_is_said_with_what_to_write(
    hub: HubServer, root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Also where the model had been fetched before: a slip is not an absence."""
    hub.shelves[ID] = shelf()
    fetch(hub, root)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(LocalError, match=r"^HF_ENDPOINT_INVALID: HF_ENDPOINT=.* is no address of a hub: write http://"):
        choose(at_home, root, ID, "")


def test_without_the_hub_a_model_that_was_fetched_can_still_be_chosen(
    hub: HubServer, root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.shelves[ID] = shelf()
    choose(at_home, root, ID, "")
    choose(at_home, root, "starter", "")
    hub.shelves[ID].broken = 1
    choose(at_home, root, ID, "")
    assert kept.read(at_home.settings_file)["MODEL_PATH"].startswith(str(root))
    hub.shelves[ID].broken = 1
    with pytest.raises(LocalError, match="HUB_UNREACHABLE"):
        choose(at_home, root, ID, "0123abc")


def test_of_a_chosen_model_that_is_gone_triton_tells_and_the_way_back_is_named(
    root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Triton does is shown by the integration tests of the same name."""
    kept.keep(at_home.settings_file, "MODEL_PATH", str(root / "gone"))
    assert triton.triton(at_home, Ports()).environment["MODEL_PATH"] == str(root / "gone")
    assert "make model ID=starter" in triton.way_back("diffusion")
    monkeypatch.setenv("MODEL_PATH", "/mine")
    assert "unset MODEL_PATH" in triton.way_back("diffusion")
    assert "starter" not in triton.way_back("segmentation")


def test_what_is_kept_goes_beside_what_was_kept(at_home: StackFolder) -> None:
    at_home.settings_file.parent.mkdir()
    at_home.settings_file.write_text("# mine\nDIFFUSION_DEVICE=cpu\n\n")
    kept.keep(at_home.settings_file, "MODEL_PATH", "/with = signs")
    assert kept.read(at_home.settings_file) == {"DIFFUSION_DEVICE": "cpu", "MODEL_PATH": "/with = signs"}
    at_home.settings_file.write_text("nonsense\n")
    with pytest.raises(LocalError, match="line 1"):
        kept.read(at_home.settings_file)


def test_the_list_says_of_each_what_it_is_and_whether_it_is_right(
    hub: HubServer, root: Path, at_home: StackFolder
) -> None:
    starter = next(models.listed(at_home, root))
    assert "atelier-starter  (the generation model)" in starter
    assert "ten toy products" in starter and "Apache-2.0" in starter and ": right" in starter
    hub.shelves[ID] = shelf(licence="openrail++")
    choose(at_home, root, ID, "")
    listed = {text.split()[0]: text for text in models.listed(at_home, root)}
    assert {"atelier-starter", "atelier-starter-matte", "u2netp", "realesrgan-x4plus", ID} <= set(listed)
    assert "(the generation model)" in listed[ID] and "(the generation model)" not in listed["atelier-starter"]
    assert "openrail++" in listed[ID] and f"at {hub.shelves[ID].commit}, from a hub" in listed[ID]
    (root / "maker--tiny" / hub.shelves[ID].commit / UNET).write_bytes(b"other")
    listed = {text.split()[0]: text for text in models.listed(at_home, root)}
    assert "WRONG" in listed[ID] and f"make model ID={ID}" in listed[ID]


def test_a_folder_of_ones_own_is_listed_too(root: Path, at_home: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PATH", "/mine")
    *_, last = models.listed(at_home, root)
    assert last.startswith("/mine  (the generation model, by MODEL_PATH)")


def test_make_says_plainly_what_is_wrong(hub: HubServer) -> None:
    """The command as it is typed; a name that a shell would take apart reaches the program whole."""
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint}
    for given, reason in (("ID=a/b'$(touch x)", "MODEL_ID_INVALID"), ("ID=maker/none", "MODEL_NOT_FOUND")):
        command = ("make", "--silent", "model", given.replace("$", "$$"), f"PYTHON={sys.executable}")
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert reason in done.stderr and "Traceback" not in done.stderr
