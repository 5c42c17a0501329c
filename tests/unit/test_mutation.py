"""What `make mutation` puts into the code, and how it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.__main__ import Known, sample, share
from tests.mutation.imports import resting_on
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.plan import PLAN, ROOT, files, parts
from tests.mutation.trials import Trial


def changed(source: str) -> list[str]:
    return [mutant.applied(source.encode()).decode() for mutant in mutants_of("a.py", source)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a < b", "a <= b"),
        ("a in b", "a not in b"),
        ("a is None", "a is not None"),
        ("a and b", "((a) or (b))"),
        ("not a", "(a)"),
        ("a + b", "((a) - (b))"),
        ("True", "False"),
        ("3", "4"),
        ("a if b else c", "((c) if (b) else (a))"),
    ],
)
def test_each_kind_of_fault_is_put_in(before: str, after: str) -> None:
    assert f"x = {after}" in changed(f"x = {before}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return a", "return None"),
        ("self.a = b", "pass"),
        ("self.call()", "pass"),
        ("await self.call()", "pass"),
        ("raise Wrong()", "pass"),
        ("self.a += 1", "pass"),
        ("del self.a[b]", "pass"),
    ],
)
def test_a_statement_is_left_out(before: str, after: str) -> None:
    head = "async def work(self):\n    "
    assert f"{head}{after}" in changed(f"{head}{before}")


@pytest.mark.parametrize(
    "source",
    [
        '"""Says 3."""',
        "x: Literal[3]",
        "def f(a: Literal[True]): ...",
        'log.info("told", n=3)',
        "@known(3)\ndef f(): ...",
        "pairs = zip(a, b, strict=True)",
    ],
)
def test_what_promises_nothing_stays(source: str) -> None:
    assert changed(source) == []


def test_a_fault_is_named_by_its_place_and_not_by_its_line() -> None:
    source = "class A:\n    def f(self):\n        return 1 < 2 or 1 < 2\n"
    keys = [mutant.key for mutant in mutants_of("a.py", source)]
    assert "a.py::A.f: 1 < 2 -> 1 <= 2" in keys and "a.py::A.f: 1 < 2 -> 1 <= 2 #1" in keys
    assert len(set(keys)) == len(keys)
    assert [mutant.key for mutant in mutants_of("a.py", f"\n\n{source}")] == keys


def test_letters_of_several_bytes_move_nothing() -> None:
    assert changed('x = "ä…"; y = a < b\n') == ['x = "ä…"; y = a <= b\n']


def test_the_faults_in_the_code_that_is_planned_for_are_python_and_all_have_names_of_their_own() -> None:
    for file, tests in parts():
        source = (ROOT / file).read_bytes()
        found = mutants_of(file, source.decode())
        assert found and len({mutant.key for mutant in found}) == len(found)
        for mutant in sample(found, 8, seed=1):
            compile(mutant.applied(source), file, "exec")
        assert tests and all((ROOT / test).is_file() for test in tests), file


def test_every_pattern_of_the_plan_means_a_file() -> None:
    assert all(files(pattern) for pattern in PLAN)


def test_a_fault_reaches_what_imports_its_module_by_any_way_and_nothing_else() -> None:
    asked_for = {
        "leases": ["clock"],
        "dispatcher": ["leases", "backlog"],
        "fakes": ["dispatcher"],
        "backlog": ["clock"],
    }
    assert resting_on("leases", asked_for) == {"leases", "dispatcher", "fakes"}
    assert resting_on("nobody", asked_for) == {"nobody"}


def a_mutant(name: str) -> Mutant:
    [mutant, *_] = mutants_of("a.py", f"def {name}():\n    return a\n")
    return mutant


def test_the_same_seed_takes_the_same_sample() -> None:
    every = [a_mutant(f"f{number}") for number in range(50)]
    assert sample(every, 10, 1) == sample(every, 10, 1) != sample(every, 10, 2)
    assert len(set(sample(every, 0, 1))) == len(sample(every, 99, 1)) == 50


def test_what_changes_nothing_does_not_count_and_a_killed_one_does_whatever_the_list_says() -> None:
    killed, survived, equivalent = (a_mutant(name) for name in ("killed", "survived", "equivalent"))
    trials = [Trial(killed, True, 1.0), Trial(survived, False, 1.0), Trial(equivalent, False, 1.0)]
    assert share(trials, Known({})) == (1, 3)
    assert share(trials, Known({equivalent.key: "why", killed.key: "wrong"})) == (1, 2)


def test_the_list_of_those_that_change_nothing_names_faults_that_are_there(tmp_path: Path) -> None:
    every = {mutant.key for file, _ in parts() for mutant in mutants_of(file, (ROOT / file).read_text("utf-8"))}
    known = Known.read()
    assert known.without_a_fault(every) == []
    assert all(len(why) > 10 for why in known.reasons.values())


def test_one_entry_of_the_list_may_name_several_faults() -> None:
    known = Known({"a.py::A.__init__: … -> …": "defaults"})
    assert "a.py::A.__init__: 3.0 * x[0] -> 4.0 * x[0]" in known
    assert "a.py::A.run: 3.0 -> 4.0" not in known and "bXpy::A.__init__: 3 -> 4" not in known
    assert known.without_a_fault(["a.py::A.run: 3.0 -> 4.0"]) == ["a.py::A.__init__: … -> …"]
