"""Where the repository's parts and the stack's state lie on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
LOCKS = ROOT / "deploy" / "requirements"
APP = LOCAL / "app"
MODELS = LOCAL / "models"
CLIENTS = LOCAL / "clients"
TRITON = LOCAL / "triton"
TRITON_BACKENDS = LOCAL / "triton-backends"
ARTEFACTS = LOCAL / "artefacts"
HUB_MODELS = LOCAL / "hub"
MODEL_REPOSITORY = ROOT / "deploy" / "triton" / "models"
APP_PYTHON = APP / "bin" / "python"
MODELS_PYTHON = MODELS / "bin" / "python"
CLIENTS_PYTHON = CLIENTS / "bin" / "python"
# What other languages' clients are built or installed into.
CLIENT_TOOLS = LOCAL / "client-tools"


@dataclass(frozen=True, slots=True)
class StackFolder:
    """One stack's own folder; tests give each stack another."""

    folder: Path = LOCAL

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def run_file(self) -> Path:
        return self.run / "stack.json"

    @property
    def settings_file(self) -> Path:
        """Settings that commands keep for `make up`; the environment goes first."""
        return self.folder / "settings.env"

    @property
    def nats_access(self) -> Path:
        """The operator's key and the services' credentials; beside the data, which belong to its accounts."""
        return self.data / "nats-access"

    def log_of(self, name: str) -> Path:
        return self.log / f"{name}.log"

    def make(self) -> None:
        """Creates the folders; what lies in `run` is for the owner's eyes only."""
        for folder in (self.data, self.log, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o700)


def shown(path: Path) -> str:
    """As a person would write it: relative to the repository where it lies in it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
