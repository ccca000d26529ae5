"""Built-in plug-ins of kind ``network``, one a file."""
