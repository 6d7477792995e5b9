"""The front door: the command line, the embedded servers, the made-up feed."""
