"""`python3 -m deploy.local COMMAND` sets up what the command needs, then becomes the command.

Kept to syntax that old Pythons read too, so that they get a message instead of a SyntaxError.
"""

import os
import shutil
import subprocess
import sys

NEWER = ("python3.12", "python3.11", "python3.13", "python3.14")


def main() -> None:
    if sys.version_info < (3, 11):
        _use_newer()
    from deploy.local.commands import run

    run(sys.argv[1:])


def _use_newer() -> None:
    for name in NEWER:
        found = shutil.which(name)
        # A shim of pyenv can stand for a version that is not there.
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, "-m", "deploy.local"] + sys.argv[1:])
    this = "%d.%d at %s" % (sys.version_info[0], sys.version_info[1], sys.executable)
    sys.exit(
        "Python 3.11 or 3.12 is needed; this is %s and PATH has no newer one.\n"
        "Install one, or name it: make PYTHON=/path/to/python3.11" % this
    )


main()
