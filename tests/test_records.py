"""Classes made by ``protocheck.records`` cannot be told from those of the standard library."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from protocheck import records


def family(decorate: Callable[..., Any]) -> dict[str, Any]:
    """The same classes, made by ``decorate``."""

    @decorate(frozen=True)
    class Base:
        """A base."""

        a: int
        b: tuple[int, ...] = ()

    @decorate(frozen=True)
    class Derived(Base):
        c: str = "c"
        d: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)

    @decorate(frozen=True, kw_only=True)
    class Named:
        a: int
        self_: int = 3
        hidden: int = dataclasses.field(default=7, init=False)

    @decorate
    class Open:
        a: int
        b: list[int] = dataclasses.field(default_factory=list)

        def __post_init__(self) -> None:
            self.b.append(self.a)

    @decorate(eq=False)
    class Same:
        a: int = 0

    @decorate(frozen=True)
    class Own:
        a: int
        b: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.a == other.a

        def __hash__(self) -> int:
            return hash(self.a)

        def __repr__(self) -> str:
            return f"<{self.a}>"

    @decorate(frozen=True)
    class Empty:
        pass

    return {c.__name__: c for c in (Base, Derived, Named, Open, Same, Own, Empty)}


OURS, THEIRS = family(records.dataclass), family(dataclasses.dataclass)

CASES: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
    ("positional", lambda k: repr(k["Derived"](1, (2,), "x", [3]))),
    ("defaults", lambda k: repr(k["Derived"](1))),
    ("fresh lists", lambda k: k["Derived"](1).d is k["Derived"](1).d),
    ("a given list", lambda k: k["Derived"](1, d=[5]).d),
    ("keywords only", lambda k: repr(k["Named"](a=1, self_=2))),
    ("keywords only, refused", lambda k: k["Named"](1)),
    ("not in init", lambda k: k["Named"](a=1).hidden),
    ("missing", lambda k: k["Base"]()),
    ("too many", lambda k: k["Base"](1, 2, 3)),
    ("unknown", lambda k: k["Base"](1, x=2)),
    ("post init", lambda k: k["Open"](4).b),
    ("change", lambda k: setattr(k["Open"](4), "a", 5)),
    ("change frozen", lambda k: setattr(k["Base"](4), "a", 5)),
    ("change frozen, no field", lambda k: setattr(k["Derived"](4), "zzz", 5)),
    ("delete frozen", lambda k: delattr(k["Base"](4), "a")),
    ("equal", lambda k: (k["Derived"](1, d=[1]) == k["Derived"](1, d=[2]), k["Base"](1) == k["Base"](2))),
    ("equal to a base", lambda k: k["Derived"](1) == k["Base"](1)),
    ("equal to what is none", lambda k: k["Base"](1) == 1),
    ("hash", lambda k: (hash(k["Derived"](1, d=[1])), hash(k["Empty"]()), hash(k["Own"](1, 2)))),
    ("hash of what can change", lambda k: hash(k["Open"](1))),
    ("identity", lambda k: (k["Same"](1) == k["Same"](1), len({k["Same"](1), k["Same"](1)}))),
    ("own methods", lambda k: (repr(k["Own"](1, 2)), k["Own"](1, 2) == k["Own"](1, 3))),
    ("empty", lambda k: (repr(k["Empty"]()), k["Empty"]() == k["Empty"]())),
    ("replace", lambda k: repr(dataclasses.replace(k["Derived"](1), c="new"))),
    ("match", lambda k: [k[n].__match_args__ for n in k]),
    ("fields", lambda k: [[(f.name, f.type, f.kw_only, f.init) for f in dataclasses.fields(k[n])] for n in k]),
    ("params", lambda k: [(p.init, p.repr, p.eq, p.frozen) for n in k for p in [k[n].__dataclass_params__]]),
    ("as dict", lambda k: dataclasses.asdict(k["Derived"](1))),
)


@pytest.mark.parametrize(("case"), [c for _, c in CASES], ids=[n for n, _ in CASES])
def test_the_same_comes_out(case: Callable[[dict[str, Any]], object]) -> None:
    """Whatever is done with such a class, the outcome is that of the standard decorator, or the same error."""
    outcomes = []
    for classes in (OURS, THEIRS, OURS):  # ours twice: methods are made when they are used first
        try:
            outcomes.append(repr(case(classes)))
        except Exception as error:
            outcomes.append(type(error).__name__)
    assert outcomes[0] == outcomes[1] == outcomes[2]


@records.dataclass(frozen=True)
class Outside:
    """One that pickle can find."""

    a: int


def test_they_are_pickled() -> None:
    """An instance that was pickled comes back equal, and still refuses changes."""
    again = pickle.loads(pickle.dumps(Outside(3)))
    assert (again, hash(again)) == (Outside(3), hash(Outside(3)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.a = 4


def test_standard_classes_may_derive_from_them() -> None:
    """A class of the standard decorator derives from one of these, frozen from frozen, and nothing else."""

    @dataclasses.dataclass(frozen=True)
    class Below(Outside):
        b: int = 2

    assert Below(1) == Below(1)
    assert repr(Below(1)).endswith("Below(a=1, b=2)")
    with pytest.raises(TypeError, match="frozen"):
        records.dataclass(type("Loose", (Outside,), {}))
