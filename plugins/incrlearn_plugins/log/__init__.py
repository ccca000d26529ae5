"""Built-in plug-ins of kind ``log``, one a file."""
