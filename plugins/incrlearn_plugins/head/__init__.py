"""Built-in plug-ins of kind ``head``, one a file."""
