"""The software GPU from the command line: ``python -m emulator run|profile|check``."""

from emulator.command.main import main

__all__ = ["main"]
