"""The plug-ins that come with incrlearn; each lives on public names alone, as anybody's does."""
