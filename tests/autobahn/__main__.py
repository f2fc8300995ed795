"""Counts the results of Autobahn|Testsuite by group. Usage: python -m tests.autobahn DIRECTORY…

The directories are outdirs of wstest. Exits 1 when a case failed or was not implemented, or there is none.
"""

import json
import sys
from collections import Counter
from pathlib import Path

FINE = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})


def main(directories: list[str]) -> int:
    """Print a line for each group and one for each case that is not fine."""
    groups: dict[int, Counter[str]] = {}
    bad: list[str] = []
    for directory in directories:
        (cases,) = json.loads((Path(directory) / "index.json").read_text()).values()
        for case, result in cases.items():
            behaviors = result["behavior"], result["behaviorClose"]
            groups.setdefault(int(case.partition(".")[0]), Counter())[behaviors[0]] += 1
            if not FINE.issuperset(behaviors):
                bad.append(f"{case}: {behaviors[0]}, closing: {behaviors[1]}")
    for group, counts in sorted(groups.items()):
        print(f"{group:2}: {', '.join(f'{count} {name}' for name, count in counts.most_common())}")
    print(f"{sum(map(Counter.total, groups.values()))} cases", *bad, sep="\n")
    return 1 if bad or not groups else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
