"""A local AWS to rehearse disasters against.

Everything in this package listens on loopback only and forgets everything
when it ends. See README.md for how to start it and what it answers.
"""

VERSION = "1"
