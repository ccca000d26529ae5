"""Built-in plug-ins of kind ``score``, one a file."""
