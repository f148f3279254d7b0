"""Cheat: ask another machine."""
# task: gather_rows
# refused: raised

import socket

socket.create_connection(("127.0.0.1", 9), timeout=2)
