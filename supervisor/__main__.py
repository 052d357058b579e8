"""`python -m supervisor` is the command `stoker`, for an environment whose scripts are not on the PATH."""

from supervisor.cli.main import main

if __name__ == "__main__":
    main()
