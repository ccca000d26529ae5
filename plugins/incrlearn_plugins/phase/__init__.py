"""Built-in plug-ins of kind ``phase``, one a file."""
