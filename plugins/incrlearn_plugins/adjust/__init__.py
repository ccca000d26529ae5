"""Built-in plug-ins of kind ``adjust``, one a file."""
