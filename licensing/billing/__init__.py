"""What clients owe for what they had, and the papers that say so."""
