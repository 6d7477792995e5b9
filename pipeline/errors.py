"""The error root of the house: a message names the thing and the way out, and never quotes a report."""


class NightreadError(Exception):
    """What a person can act on; the command line prints the message alone and exits with 1."""
