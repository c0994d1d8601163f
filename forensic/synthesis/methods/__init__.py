"""One file a paper; the registry finds every module here that uses ``@method``."""
