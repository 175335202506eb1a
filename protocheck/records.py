"""Data classes that cost next to nothing until they are used.

:func:`dataclasses.dataclass` writes and compiles six functions for each frozen class when it is defined, which for the
hundreds of classes of trees takes longer than to check a small model. Here the standard decorator only collects the
fields; ``__init__``, ``__eq__``, ``__hash__`` and ``__repr__`` are made when they are called for the first time, and
mean the same. To type checkers this *is* the standard decorator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, kw_only=False):
        """As :func:`dataclasses.dataclass`, with those of its options that are in use here."""

        def made(cls):
            return _declared(cls, frozen=frozen, eq=eq, kw_only=kw_only)

        return made if cls is None else made(cls)


def _declared(cls: type[Any], *, frozen: bool, eq: bool, kw_only: bool) -> type[Any]:
    own = cls.__dict__
    has_hash = not (own.get("__hash__", dataclasses.MISSING) is dataclasses.MISSING or (
        own["__hash__"] is None and "__eq__" in own
    ))
    if cls.__doc__ is None:  # the standard decorator would work out a signature for it
        cls.__doc__ = cls.__name__
    bases: list[Any] = [b.__dict__["__dataclass_params__"] for b in cls.__mro__[1:] if dataclasses.is_dataclass(b)]
    if any(p.frozen is not frozen for p in bases):
        raise TypeError(f"{cls.__name__} and its bases must all be frozen, or none")
    for params in bases:  # for as long as the standard decorator looks: this one is not to write what refuses changes
        params.frozen = False
    try:
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    finally:
        for params in bases:
            params.frozen = frozen
    params = cls.__dataclass_params__
    params.init, params.repr, params.eq, params.frozen = True, True, eq, frozen
    _later(cls, "__init__", _init)
    _later(cls, "__repr__", _repr)
    if eq:
        _later(cls, "__eq__", _eq)
        if not has_hash:
            if frozen:
                _later(cls, "__hash__", _hash, replace=True)
            else:
                cls.__hash__ = None  # type: ignore[assignment]
    if frozen:
        if "__setattr__" in own or "__delattr__" in own:
            raise TypeError(f"{cls.__name__} is frozen, so it cannot say how to change it")
        cls.__setattr__ = _no_set  # type: ignore[assignment]
        cls.__delattr__ = _no_delete  # type: ignore[assignment]
    return cls


def _no_set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _later(cls: type[Any], name: str, make: Callable[[type[Any]], Any], *, replace: bool = False) -> None:
    """Give ``cls`` a method that makes itself, with ``make``, when it is called first; what it has already stays."""
    if name in cls.__dict__ and not replace:
        return

    def first(self: object, /, *args: object, **named: object) -> object:
        method = make(cls)
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)
        return method(self, *args, **named)

    setattr(cls, name, first)


def _compiled(name: str, parameters: str, body: list[str], space: dict[str, Any]) -> Any:
    text = "\n    ".join([f"def {name}({parameters}):", *(body or ["pass"])])
    exec(compile(text, "<record>", "exec"), space)
    return space[name]


def _init(cls: type[Any]) -> Any:
    space: dict[str, Any] = {"record_put": object.__setattr__, "record_missing": dataclasses.MISSING}
    frozen = cls.__dataclass_params__.frozen
    body: list[str] = []
    plain: list[str] = []
    named: list[str] = []
    for f in dataclasses.fields(cls):
        value = f.name
        if f.default_factory is not dataclasses.MISSING:
            space[f"record_make_{f.name}"] = f.default_factory
            value = f"record_make_{f.name}()" + (f" if {f.name} is record_missing else {f.name}" if f.init else "")
        elif f.default is not dataclasses.MISSING:
            space[f"record_default_{f.name}"] = f.default
            if not f.init:
                continue  # the default is an attribute of the class
        elif not f.init:
            continue
        if f.init:
            parameter = f.name
            if f.default_factory is not dataclasses.MISSING:
                parameter += "=record_missing"
            elif f.default is not dataclasses.MISSING:
                parameter += f"=record_default_{f.name}"
            (named if f.kw_only else plain).append(parameter)
        body.append(f"record_put(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    return _compiled("__init__", ", ".join(["self", *plain, *(["*", *named] if named else [])]), body, space)


def _repr(cls: type[Any]) -> Any:
    names = [f.name for f in dataclasses.fields(cls) if f.repr]

    def __repr__(self: object) -> str:  # noqa: N807
        return f"{type(self).__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"

    return __repr__


def _eq(cls: type[Any]) -> Any:
    names = [f.name for f in dataclasses.fields(cls) if f.compare]
    mine, theirs = ("".join(f"{who}.{n}, " for n in names) for who in ("self", "other"))
    body = [f"if other.__class__ is self.__class__: return ({mine}) == ({theirs})", "return NotImplemented"]
    return _compiled("__eq__", "self, other", body, {})


def _hash(cls: type[Any]) -> Any:
    names = [f.name for f in dataclasses.fields(cls) if (f.compare if f.hash is None else f.hash)]
    return _compiled("__hash__", "self", [f"return hash(({''.join(f'self.{n}, ' for n in names)}))"], {})
