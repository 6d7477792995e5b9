"""The clock: what is due, and waking the workers. Knows no torch and never imports worker."""
