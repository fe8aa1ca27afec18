"""`python -m rnnbench`, the same as the command `rnnbench`."""

from rnnbench.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
