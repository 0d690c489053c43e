"""The objects that the enabler defines: those the engine needs, and those that work by themselves."""
