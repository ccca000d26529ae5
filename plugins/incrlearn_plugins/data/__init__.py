"""Built-in plug-ins of kind ``data``, one a file."""
