"""Which models are served, under which names, and in which state."""
