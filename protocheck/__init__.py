"""protocheck: a model checker for private/shared memory protocols."""

__version__ = "0.1.0"
