"""The protocols of :mod:`benchmarks.flat` as inputs of other checkers: the same commands, each in its best encoding.

Each module has a dictionary ``PROTOCOLS`` from the name of a protocol to a function of its sizes that writes the input
as text. What may differ from tool to tool is how a state is written down (scalarsets, symmetry sets, processes, bits),
never what a step is.
"""
