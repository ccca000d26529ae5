"""Built-in plug-ins of kind ``prune``, one a file."""
