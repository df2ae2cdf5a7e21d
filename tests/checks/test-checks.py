#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows that the checks can fail: each breakage of a copy of the tree must be complained about, in these words."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECKS = Path(__file__).resolve().parent
ROOT = CHECKS.parent.parent
FOLDERS = ["daemon", "dbus", "drivers-glue", "policy", "cli", "systemd", "man", "examples"]
INTROSPECT = None  # the program, from the command line

# check, file, what is replaced (a regular expression, its first place), by what, complaint
BREAKAGES = [
    ("layers", "policy/placement.c", r"\A", "#include <systemd/sd-event.h>\n", "<systemd/sd-event.h> is not for policy"),
    ("layers", "daemon/gpu.c", r"\Z", "#include <systemd/sd-bus.h>\n", "<systemd/sd-bus.h> is not for daemon"),
    ("layers", "daemon/gpu.c", r"\Z", '#include "dbus/bus.h"\n', '"dbus/bus.h" is not for daemon'),
    ("layers", "daemon/base/error.c", r"\Z", '#include "daemon/gpu.h"\n', '"daemon/gpu.h" is not for daemon/base'),
    ("layers", "drivers-glue/io.c", r"\Z", "#include <libudev.h>\n", "<libudev.h> is not for drivers-glue"),
    ("layers", "dbus/bus.c", r"\Z", "#  include  <gio/gio.h>\n", "<gio/gio.h> is not for dbus"),
    ("layers", "dbus/bus.c", r"\Z", "#include <json-glib/json-glib.h>\n", "<json-glib/json-glib.h> is not for dbus"),
    ("layers", "cli/main.c", r"\Z", '#include "dbus/bus-util.h"\n', '"dbus/bus-util.h" is not for cli'),
    ("layers", "cli/main.c", r"\Z", '#include "daemon/job.h"\n', '"daemon/job.h" is not for cli'),
    ("layers", "dbus/bus.c", r"\Z", '#include "dbus/no.h"\n', '"dbus/no.h" must be named from the top'),
    ("layers", "dbus/bus.c", r"#include .*\n", "#include <glib.h>\n", 'its own header "dbus/bus.h" must be the first'),
    ("layers", "dbus/bus.h", r"#pragma once", "", "no #pragma once"),
    ("catalog", "systemd/vgpud.catalog", r"^-- .{8}", "-- 00000000", "no entry for VGPUD_MESSAGE_"),
    ("catalog", "systemd/vgpud.catalog", r"^-- .{8}", "-- 00000000", "is no id of log-ids.h"),
    ("catalog", "systemd/vgpud.catalog", r"\Z", "\n-- 1\nSubject: x\n\nx\n", "1 is no id of log-ids.h"),
    ("catalog", "systemd/vgpud.catalog", r"^Subject: .*$", "Subject:", "has no subject or no text"),
    ("catalog", "systemd/vgpud.catalog", r"@VGPUD_GPU@", "@VGPUD_CARD@", "there is no field VGPUD_CARD"),
    ("catalog", "systemd/vgpud.catalog", None, None, "systemd/vgpud.catalog is missing"),
    ("catalog", "daemon/base/log-ids.h", r"\Z", '#define VGPUD_MESSAGE_X "0123456789abcdef0123456789abcdef"\n', "nothing logs VGPUD_MESSAGE_X"),
    ("catalog", "daemon/base/log-ids.h", r'"[0-9a-f]{32}"', '"123"', "is not 32 hexadecimal digits"),
    ("spdx", "dbus/bus.c", r"SPDX", "XDPS", "dbus/bus.c: 'SPDX-License-Identifier"),
    ("spdx", "policy/org.vgpud1.rules.example", r"LGPL-2.1-or-later", "MIT", "rules.example: 'SPDX-License-Identifier"),
    ("actions", "policy/org.vgpud1.policy", r"org.vgpud1.create", "org.vgpud1.make", "org.vgpud1.policy: no action org.vgpud1.create"),
    ("actions", "policy/org.vgpud1.policy", r"org.vgpud1.create", "org.vgpud1.make", "org.vgpud1.make is not in actions.def"),
    ("actions", "policy/org.vgpud1.policy", r">auth_admin<", ">yes<", "allow_any is not 'auth_admin' as in actions.def"),
    ("actions", "policy/org.vgpud1.policy", r"Make virtual", "Take virtual", "description is not 'Make virtual GPUs'"),
    ("actions", "policy/actions.def", r"type \$\(type\)", "type $(colour)", "a message has $(colour), which polkit is never told"),
    ("actions", "policy/actions.def", r"\Z", 'VGPUD_ACTION(X, "org.vgpud1.x", "no", "no", "no", "x", "x")\n', "no method asks for org.vgpud1.x"),
    ("actions", "policy/actions.def", r"\Z", 'VGPUD_ACTION(X, "org.vgpud1.x", "no", "no", "no", "x", "x")\n', "dbus/ never asks for POLKIT_X"),
    ("actions", "policy/org.vgpud1.rules.example", r'action.id == "org.vgpud1.create"', 'action.id == "org.vgpud1.make"', "there is no action org.vgpud1.make"),
    ("actions", "policy/org.vgpud1.rules.example", r'lookup\("type"\)', 'lookup("kind")', "it looks up kind"),
    ("actions", "dbus/bus-instance.c", r'"mine",', '"own",', "mine is only in its comment or only in dbus/"),
    ("actions", "dbus/org.vgpud1.Gpu.xml", r'value="org.vgpud1.rescan"', 'value="org.vgpud1.scan"', "org.vgpud1.scan is not in actions.def"),
    ("actions", "dbus/org.vgpud1.Manager.xml", r' *<annotation name="org.vgpud1.Action" value="none"/>\n', "", "GetGpu: no annotation org.vgpud1.Action"),
    ("actions", "dbus/org.vgpud1.Instance.xml", r'access="read"', 'access="readwrite"', "Uuid: a property cannot be written"),
    ("actions", "dbus/org.vgpud1.conf", r"org.vgpud1.Job", "org.vgpud1.Jobs", "nobody may call org.vgpud1.Job"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r'name="VendorId" type="q"', 'name="VendorId" type="u"', "org.vgpud1.Gpu.VendorId: property in the XML"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r'value="const"', 'value="true"', "org.vgpud1.Gpu.Name: property in the XML"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r' *<property name="Stale".*\n.*\n *</property>\n', "", "org.vgpud1.Gpu.Stale: property in the XML is None"),
    ("api", "dbus/org.vgpud1.Job.xml", r'name="Cancel"', 'name="Stop"', "there is no comment that begins with 'Stop:'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"Requester", "Asker", "there is no comment that begins with 'Requester:'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"Since: 0.1 -->", "-->", "does not end with 'Since: VERSION'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"<!-- Id: [^.]*\. ", "<!-- Id: ", "Id: there is no text"),
    ("api", "dbus/org.vgpud1.Manager.xml", r"@type: ", "@kind: ", "Create: the arguments described are not those there are"),
    ("api", "dbus/org.vgpud1.Manager.xml", r'direction="out"/>', 'direction="in"/>', "org.vgpud1.Manager.Create: method in the XML"),
    ("api", "dbus/org.vgpud1.Manager.xml", r'arg name="result"', 'arg name="outcome"', "JobRemoved: the arguments described"),
    ("api", "dbus/org.vgpud1.Manager.xml", r"- count \(u\)", "- count (t)", "org.vgpud1.Manager.Create: options described"),
    ("config", "man/vgpud.conf.5.rst", r"^\*spare=", "*spares=", "man/vgpud.conf.5.rst: [gpu] spare= is missing"),
    ("config", "examples/vgpud.conf", r"^#strategy=", "#strategies=", "daemon/config.c has no [placement] strategies="),
    ("config", "daemon/config.h", r"^ \*     per-gpu=.*\n", "", "daemon/config.h: [jobs] per-gpu= is missing"),
    ("config", "daemon/config.c", r'"forbid", set_types', '"avoid", set_types', "man/vgpud.conf.5.rst: [gpu] avoid= is missing"),
    ("api", "dbus/bus-instance.c", r'"foreign", "b"', '"alien", "b"', "org.vgpud1.Instance.Destroy: options described"),
]  # fmt: skip


class Breakages(unittest.TestCase):
    def run_check(self, check, tree):
        name = {"actions": "actions-in-step", "api": "api-in-step", "config": "config-in-step"}.get(check, check)
        command = [sys.executable, CHECKS / f"{name}.py", "--root", tree]
        if check == "api":
            command.append(self.introspection)
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.stderr, "")
        return result.returncode, result.stdout

    def copy(self, folder):
        tree = Path(folder) / "tree"
        for name in FOLDERS:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        return tree

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.introspection = Path(self.folder.name) / "introspection.xml"
        self.introspection.write_text(subprocess.run([INTROSPECT], check=True, stdout=subprocess.PIPE, text=True).stdout)

    def test_whole(self):
        tree = self.copy(self.folder.name)
        for check in ("layers", "catalog", "spdx", "actions", "config", "api"):
            with self.subTest(check):
                self.assertEqual(self.run_check(check, tree), (0, ""))

    def test_broken(self):
        tree = self.copy(self.folder.name)
        for check, file, old, new, complaint in BREAKAGES:
            with self.subTest(f"{check}: {file}: {new}"):
                whole = (tree / file).read_text()
                if old is None:
                    (tree / file).unlink()
                else:
                    broken, n = re.subn(old, lambda match: new, whole, count=1, flags=re.M)
                    self.assertEqual(n, 1, "there is nothing to break")
                    (tree / file).write_text(broken)
                status, output = self.run_check(check, tree)
                (tree / file).write_text(whole)
                self.assertEqual(status, 1)
                self.assertIn(complaint, output)

    def test_member_of_the_daemon_only(self):
        tree = self.copy(self.folder.name)
        text = self.introspection.read_text()
        self.introspection.write_text(text.replace("Rescan", "Scan"))
        self.assertIn("org.vgpud1.Gpu.Scan: method in the XML is None", self.run_check("api", tree)[1])
        self.introspection.write_text(text.replace("org.vgpud1.Job", "org.vgpud1.Task"))
        self.assertIn("org.vgpud1.Task: in the daemon, not in the XML", self.run_check("api", tree)[1])


if __name__ == "__main__":
    INTROSPECT = sys.argv.pop(1)
    unittest.main()
