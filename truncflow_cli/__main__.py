"""The command ``truncflow``, also as ``python -m truncflow_cli``."""

from truncflow_cli.cli.app import main

if __name__ == "__main__":
    main()
