#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs systemd/vgpud-sriov with allowed and refused arguments, and checks how the script calls sriov-manage."""

import pathlib
import subprocess
import tempfile

import common

GOOD = {
    "enable/0000:41:00.0": "-e 0000:41:00.0",
    "disable/0000:41:00.7": "-d 0000:41:00.7",
    "enable/10000:e1:00.0": "-e 10000:e1:00.0",
}
BAD = [
    (),
    ("",),
    ("enable",),
    ("enable/",),
    ("enable/ALL",),
    ("enable/0000:41:00.8",),
    ("enable/0000:41:00.0/1",),
    ("enable/0000:41:00.0\n0000:42:00.0",),
    ("enable/000:41:00.0",),
    ("enable/0000:41:00.0 -r",),
    ("enable/-e",),
    ("reset/0000:41:00.0",),
    ("enable/0000:41:00.0", "enable/0000:42:00.0"),
]
PLACE = "/usr/lib/nvidia/sriov-manage"


def main():
    script = common.options(__doc__).root / "systemd/vgpud-sriov"
    complaints = []

    def expect(arguments, status, output):
        result = subprocess.run(["sh", helper, *arguments], capture_output=True, text=True, check=False)
        if (result.returncode, result.stdout) != (status, output):
            complaints.append(f"vgpud-sriov {arguments}: {result.returncode} {result.stdout!r}, not {status} {output!r}")
        if status and not result.stderr:
            complaints.append(f"vgpud-sriov {arguments}: does not say why")

    with tempfile.TemporaryDirectory() as folder:
        # Run a copy of the script that names another path, so that no sriov-manage of this machine runs.
        helper, manage = pathlib.Path(folder, "helper"), pathlib.Path(folder, "sriov-manage")
        text = script.read_text()
        if text.count(PLACE) != 1:
            complaints.append(f"vgpud-sriov names {PLACE} {text.count(PLACE)} times")
        helper.write_text(text.replace(PLACE, str(manage)))
        # 64: the arguments are refused; 69: sriov-manage does not exist (sysexits.h).
        for arguments in BAD:
            expect(arguments, 64, "")
        for argument in GOOD:
            expect([argument], 69, "")
        manage.write_text('#!/bin/sh\necho "$*"\nexit 7\n')
        manage.chmod(0o755)
        for argument, words in GOOD.items():
            result = subprocess.run(["sh", helper, argument], capture_output=True, text=True, check=False)
            if (result.returncode, result.stdout) != (7, words + "\n"):
                complaints.append(f"vgpud-sriov {argument}: {result.returncode} {result.stdout!r}")
    common.finish(complaints)


main()
