"""`make check`: every rule of the repository that a program can judge; all are run, then the broken ones are named."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.local.paths import APP, APP_PYTHON, MODEL_REPOSITORY, ROOT, shown

TYPED = ("services", "gateway", "deploy/local", "tests")
_BIN = APP / "bin"


@dataclass(frozen=True, slots=True)
class Rule:
    """`skipped` says why it cannot be run here."""

    name: str
    command: tuple[str, ...]
    folder: str = "."
    skipped: str = ""


def rules() -> Iterator[Rule]:
    yield Rule("ruff", (f"{_BIN}/ruff", "check", "--output-format=concise", "."))
    yield Rule("ruff format", (f"{_BIN}/ruff", "format", "--check", "--quiet", "."))
    yield Rule("mypy", (f"{_BIN}/mypy", *TYPED, "examples"))
    yield from _of_the_models()
    yield Rule("pauses in tests", (str(APP_PYTHON), "-m", "tests.pauses"))
    yield Rule("import-linter", (f"{_BIN}/lint-imports",))
    yield Rule("generated code", (str(APP_PYTHON), "protos/generate.py", "--check"))
    yield Rule("settings page", (str(APP_PYTHON), "-m", "deploy.local.settings_table", "--check"))
    yield Rule("buf lint", (f"{_BIN}/buf", "lint"), "protos")
    yield _breaking()


def main() -> None:
    broken = [rule.name for rule in rules() if not _passes(rule)]
    if broken:
        raise SystemExit(f"\nbroken: {', '.join(broken)}")
    print("\nEvery check passes.")


def _passes(rule: Rule) -> bool:
    if rule.skipped:
        print(f"skipped  {rule.name:20} {rule.skipped}", flush=True)
        return True
    begun = time.monotonic()
    done = subprocess.run(rule.command, cwd=ROOT / rule.folder, capture_output=True, text=True)
    verdict = "ok     " if done.returncode == 0 else "BROKEN "
    print(f"{verdict}  {rule.name:20} {time.monotonic() - begun:.1f} s", flush=True)
    if done.returncode:
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode == 0


def _of_the_models() -> Iterator[Rule]:
    """What runs in the models' environment; each entry alone, as Triton calls them all by one name."""
    mypy = (f"{_BIN}/mypy", "--config-file", "deploy/triton/mypy.ini")
    yield Rule("mypy of the models", (*mypy, "deploy/triton", "tests/models"))
    for entry in sorted(MODEL_REPOSITORY.glob("*/*/model.py")):
        yield Rule(f"mypy of {entry.parents[1].name}", (*mypy, shown(entry)))


def _breaking() -> Rule:
    """Against main; on main itself against the commit before. Where `protos/baseline` changes, they begin anew."""
    base = _base()
    if base is None:
        return Rule("buf breaking", (), skipped="no earlier commit of the contracts to compare with")
    baseline = "protos/baseline"
    if _git("show", f"{base}:{baseline}") != (ROOT / baseline).read_text(encoding="utf-8").strip():
        return Rule("buf breaking", (), skipped="the contracts begin anew here: see protos/baseline")
    return Rule("buf breaking", (f"{_BIN}/buf", "breaking", "--against", f"../.git#ref={base},subdir=protos"), "protos")


def _base() -> str | None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return None
    here = _git("rev-parse", "HEAD")
    for name in ("origin/main", "main", "HEAD~1"):
        commit = _git("rev-parse", "--verify", "--quiet", name)
        if commit and commit != here and _git("ls-tree", commit, "protos/buf.yaml"):
            return commit
    return None


def _git(*arguments: str) -> str | None:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
