"""A module that cannot be preloaded: importing it starts a thread."""

import threading
import time

threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
