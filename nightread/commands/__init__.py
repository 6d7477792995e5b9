"""One module per group of commands; each command is thin and says in its help what it does."""
