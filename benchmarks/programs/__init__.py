"""What runs in the measured processes. They take commands as lines of JSON and end with their standard input."""
