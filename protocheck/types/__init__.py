"""The static checks: from the syntax tree to the checked tree, with every fault of a file in one run."""

from protocheck.types.check import load

__all__ = ["load"]
