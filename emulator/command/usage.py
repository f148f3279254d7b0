"""What the user got wrong, as one error that ends a command with status 2."""

from __future__ import annotations


class UsageError(Exception):
    """A command that cannot be carried out as it was given; the message says what to do."""
