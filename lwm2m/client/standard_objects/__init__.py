"""The objects that the engine itself needs."""
