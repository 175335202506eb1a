"""protocheck: a model checker for private/shared memory protocols.

    >>> import protocheck
    >>> report = protocheck.check_file("my.pchk")
    >>> report.exit_status

``check_file`` returns the findings as values (see :mod:`protocheck.findings`); a faulty model raises ``ModelError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocheck.check import check_file
    from protocheck.diagnostics import ModelError

__all__ = ["ModelError", "__version__", "check_file"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line must not wait for solvers it does not use."""
    if name == "check_file":
        from protocheck.check import check_file

        return check_file
    if name == "ModelError":
        from protocheck.diagnostics import ModelError

        return ModelError
    raise AttributeError(f"module 'protocheck' has no attribute {name!r}")
