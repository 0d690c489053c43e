"""What is measured, one subject each. A measure takes one sample of every peer in each round, in turn."""
