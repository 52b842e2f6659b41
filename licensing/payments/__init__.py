"""Ways money comes in: one module each, blind to each other."""
