"""Built-in plug-ins of kind ``memory``, one a file."""
