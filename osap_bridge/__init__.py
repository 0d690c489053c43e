"""A legacy gateway: devices of other protocols appear to LwM2M servers."""
