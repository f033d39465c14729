"""Cells: warm processes in which untrusted bitstreams are decoded, bytes in and bytes out.

libavcodec is C code fed with files from strangers. A cell is a Python process that has it loaded and waits for work;
it can open neither a file nor a socket (no descriptor is left to it), write none, has no network where the system
allows that to be taken away, and is bounded in memory and processor time. Whoever waits for it can kill it at any
moment, and it does not outlive its parent.
"""

from .pool import Answer, Begun, CellDied, ask, begin, close_idle, warm_up

__all__ = ["Answer", "Begun", "CellDied", "ask", "begin", "close_idle", "warm_up"]
