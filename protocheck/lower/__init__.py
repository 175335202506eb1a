"""From a checked module to a transition system: sizes, inlining, steps, symbolic execution."""

from protocheck.lower.assemble import compile_system
from protocheck.lower.instance import Instance, instantiate

__all__ = ["Instance", "compile_system", "instantiate"]
