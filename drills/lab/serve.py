"""Starts the lab as a file: `python drills/lab/serve.py --dir DIR`.

The same as `python -m lab serve --dir DIR` with drills/ on the path; this
form needs no environment at all, which is what a parent process wants.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
