"""What works show in a model's words: suggestions where a creator wrote none."""
