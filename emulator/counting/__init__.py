"""Counters of a launch: their names, what each PTX instruction adds to them, and the collecting."""
