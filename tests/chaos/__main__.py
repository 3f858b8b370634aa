"""`python -m tests.chaos [FAULT …]`: runs with these faults (none: each in turn), and reports what broke. Exit code 1 if anything did."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from tests.chaos.monkey import FAULTS
from tests.chaos.run import run
from tests.support.gateway import ROOT

SECONDS, SOAK_SECONDS = 60.0, 1200.0


def main() -> int:
    """Print a report for each run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; several in one run: joined by +"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="printed with the report")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument(
        "--seconds", type=float, help=f"of a run: {SECONDS:.0f}, of a soak {SOAK_SECONDS:.0f} if not given"
    )
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS", help="between two faults")
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument(
        "--soak", action="store_true", help="ten sessions whose sockets are cut, for twenty minutes: look at the memory"
    )
    parser.add_argument(
        "--silent", action="store_true", help="no speech: the recognisers leave the cores to the gateways"
    )
    parser.add_argument(
        "--tree", type=Path, default=ROOT, help="a checkout of another commit, to be tried instead of this one"
    )
    given = parser.parse_args()
    if given.soak:
        given.faults, given.sessions = ["cut"], 10
    named = [tuple(word.split("+")) for word in given.faults] or [(name,) for name in FAULTS]
    unknown = {name for group in named for name in group} - FAULTS.keys()
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    failed = False
    for faults in named:
        report = asyncio.run(
            run(
                faults,
                seed=given.seed,
                sessions=given.sessions,
                seconds=given.seconds or (SOAK_SECONDS if given.soak else SECONDS),
                every_s=given.every,
                gateways=given.gateways,
                tree=given.tree.resolve(),
                silent=given.silent,
            )
        )
        print("\n".join(report.lines()), flush=True)
        failed = failed or bool(report.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
