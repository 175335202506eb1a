"""How fast the program is, beside what was promised and beside established checkers on the same protocols."""
