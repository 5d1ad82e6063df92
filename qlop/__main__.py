"""Run the command line: ``python -m qlop``."""

from qlop.cli.main import main

if __name__ == "__main__":
    main()
