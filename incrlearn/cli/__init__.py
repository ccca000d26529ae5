"""The command line. Modules that need torch are imported inside the commands: ``--help`` must not wait for it."""
