"""`python -m nightread`: the command line."""

from nightread.cli import main

main()
