"""``python -m incrlearn``: the command line."""

from incrlearn.cli.main import main

if __name__ == "__main__":
    main()
