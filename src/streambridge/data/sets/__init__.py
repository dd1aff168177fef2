"""One file per source set of Stream-IT: the name of its file is its name in `streambridge data convert NAME`."""
