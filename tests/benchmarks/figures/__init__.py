"""One module for each figure; each has ``measure(scale)``, which gives rows of the table."""
