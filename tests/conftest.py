"""``make fuzz``: the random tests alone, each with many more examples and a seed that is new every time."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

_MORE = 20


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``PROTOCHECK_FUZZ`` nothing changes: seeds are fixed, so that a red run is never bad luck."""
    if not os.environ.get("PROTOCHECK_FUZZ"):
        return
    random = []
    for item in items:
        test = getattr(item, "obj", None)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if test is None or own is None:
            continue
        more = settings(own, derandomize=False, max_examples=_MORE * own.max_examples, deadline=None)
        test._hypothesis_internal_use_settings = more
        random.append(item)
    config.hook.pytest_deselected(items=[i for i in items if i not in random])
    items[:] = random
