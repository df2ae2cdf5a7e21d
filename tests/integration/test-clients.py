#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that use the description of the API: busctl introspect on each kind of object, and the C code that
gdbus-codegen generates from dbus/*.xml."""

import subprocess
import sys

import bus
import host
import runner
from host import GVT, V5_4, V5_8, uuid

sys.path.insert(0, str(bus.TOP / "dbus"))

import api  # noqa: E402  pylint: disable=wrong-import-position

CLIENT = host.BUILD / "tests" / "integration" / "client-generated"
# busctl's words for the annotation EmitsChangedSignal; "false" has none.
FLAGS = {"true": ["emits-change"], "invalidates": ["emits-invalidation"], "const": ["const"], "false": []}


def described():
    """{interface: {member: (kind, signature, result)}} of the XML, with the flags of properties as the result."""
    found = {}
    for interface in api.read_all():
        members = found.setdefault(interface.name, {})
        for m in interface.members:
            into = "".join(t for direction, t, _ in m.arguments if direction == "in")
            out = "".join(t for direction, t, _ in m.arguments if direction == "out")
            if m.kind == "property":
                members[m.name] = (m.kind, m.type, FLAGS[m.emits])
            elif m.kind == "signal":
                members[m.name] = (m.kind, "".join(t for _, t, _ in m.arguments), "-")
            else:
                members[m.name] = (m.kind, into, out)
    return found


def introspected(h, path):
    """The members of a live object in the form of described(). busctl prints NAME TYPE SIGNATURE RESULT/VALUE FLAGS."""
    command = ["busctl", f"--address={h.address}", "--no-pager", "--no-legend", "--full", "introspect", bus.SERVICE, path]
    done = subprocess.run(command, env=h.environment, capture_output=True, text=True, check=False, timeout=bus.DEADLINE)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"busctl introspect {path}: {done.returncode}\n{done.stderr}")
    found, members = {}, None
    for line in done.stdout.splitlines():
        name, kind, signature, *rest = line.split()
        if kind == "interface":
            members = found.setdefault(name, {})
        elif kind == "property":
            members[name[1:]] = (kind, signature, [w for w in rest[1:] if w in ("emits-change", "emits-invalidation", "const")])
        else:
            members[name[1:]] = (kind, signature.replace("-", ""), rest[0] if kind == "signal" else rest[0].replace("-", ""))
    return found


class Clients(host.HostTest):
    def test_busctl(self):
        h = self.host()
        h.bus.create(GVT, V5_8, uuid=uuid(1))
        h.sim.fault(f"create:{GVT}:hang:1")
        pending = h.bus.start_create(GVT, V5_4, uuid=uuid(2))
        h.hanging(1)
        expected = described()
        paths = {"org.vgpud1.Manager": "/org/vgpud1", "org.vgpud1.Gpu": h.bus.gpu(GVT).path,
                 "org.vgpud1.Instance": h.bus.instance(uuid(1)).path, "org.vgpud1.Job": h.bus.gpu(GVT).get("Job")}
        for interface, path in paths.items():
            with self.subTest(interface):
                live = introspected(h, path)
                self.assertEqual([name for name in live if name.startswith("org.vgpud1")], [interface])
                self.assertEqual(live[interface], expected[interface])
        h.sim.ctl("release")
        pending.result()

    def test_generated(self):
        if not CLIENT.exists():
            self.skipTest("the tests were built without gdbus-codegen")
        h = self.host()
        done = subprocess.run([str(CLIENT), GVT, V5_4], env=h.environment, capture_output=True, text=True, check=False,
                              timeout=bus.DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        lines = [line.split("=", 1) for line in done.stdout.splitlines()]
        said = {key: [v for k, v in lines if k == key] for key, _ in lines}
        version = h.bus.manager.get("Version")
        self.assertEqual(said["version"], [version])
        self.assertEqual(said["gpu"], [GVT])
        self.assertEqual((said["gpu_state"], said["back_end"]), (["ready"], ["mdev"]))
        self.assertEqual((said["type"], said["parent"], said["state"]), ([V5_4], [GVT], ["active"]))
        self.assertEqual(said["result"], ["done", "done"])
        self.assertLessEqual({"libvirt_xml", "group_node", "sysfs_path"}, set(said["hand_over"]))
        self.assertEqual(h.bus.instances(), {})


if __name__ == "__main__":
    runner.main()
