"""Those that are measured, each in a process of its own on the measured core."""
