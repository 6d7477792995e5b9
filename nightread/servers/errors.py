"""What can go wrong with the embedded servers."""

from pipeline.errors import NightreadError


class ServersError(NightreadError):
    """The embedded servers cannot be found, started or reached."""


class NotAnsweringError(ServersError):
    """A server did not answer this once; it may yet."""
