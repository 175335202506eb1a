"""protocheck: a model checker for private/shared memory protocols."""
