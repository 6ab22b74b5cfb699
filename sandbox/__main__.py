"""`python -m sandbox`: the emulated organization behind one localhost endpoint; see sandbox/endpoint.py."""

import sys

from sandbox.endpoint import main

sys.exit(main())
