"""`python -m lab serve --dir DIR`."""

import sys

from .main import main

arguments = sys.argv[1:]
if arguments[:1] == ["serve"]:
    arguments = arguments[1:]
sys.exit(main(arguments))
