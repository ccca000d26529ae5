"""Built-in plug-ins of kind ``loss``, one a file."""
