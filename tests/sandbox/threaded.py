"""A module that cannot be confined: importing it starts a thread."""

import threading

from tests.sandbox.functions import obey

__all__ = ["obey"]

threading.Thread(target=threading.Event().wait, daemon=True).start()
