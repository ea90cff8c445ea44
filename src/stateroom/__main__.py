"""`python -m stateroom` is `stateroom`."""

from stateroom.cli import main

if __name__ == "__main__":
    main()
