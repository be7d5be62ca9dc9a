"""Print pip's option for the lock file, if this Python is the one it was made for."""

import sys

if sys.version_info[:2] == (3, 11):
    print("-c requirements.lock")
