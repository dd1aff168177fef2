"""`python -m streambridge` is the program `streambridge`."""

from streambridge.cli import main

raise SystemExit(main())
