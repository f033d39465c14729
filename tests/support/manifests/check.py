"""`python -m tests.support.manifests.check FILE…`: say what is wrong with rendered manifests (exit code 1)."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.manifests.files import documents
from tests.support.manifests.policy import problems_of


def main(arguments: Sequence[str]) -> int:
    """Check every file by itself."""
    failed = False
    for argument in arguments:
        manifests = documents(Path(argument))
        problems = problems_of(manifests)
        failed = failed or bool(problems)
        sys.stdout.writelines(f"{argument}: {problem}\n" for problem in problems)
        if not problems:
            sys.stdout.write(f"{argument}: {len(manifests)} objects, all rules kept\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
