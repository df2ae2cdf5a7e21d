# SPDX-License-Identifier: LGPL-2.1-or-later
"""busctl and a few lines of Python can do the same with vgpud as vgpuctl."""

import json
import re

import vmcase

EXAMPLES = vmcase.Path("/usr/share/doc/vgpud/examples")
MANAGER = ("org.vgpud1", "/org/vgpud1", "org.vgpud1.Manager")


class Busctl(vmcase.VgpudCase):
    @staticmethod
    def call(*argv):
        """The values of the answer, each variant as type and data."""
        return json.loads(vmcase.run("busctl", "--json=short", "call", *argv).out)["data"]

    def test_tree(self):
        uuid = self.create("mdpy-xga")
        paths = vmcase.run("busctl", "tree", "--list", "org.vgpud1").out.split()
        print("\n".join(paths))
        self.assertEqual(
            sorted(path for path in paths if path.count("/") > 3),
            sorted(
                [
                    f"/org/vgpud1/gpu/{name}"
                    for name in ("_30000_3a00_3a03_2e0", "_30000_3a00_3a04_2e0", "mbochs", "mdpy", "mtty")
                ]
                + [vmcase.instance_path(uuid)]
            ),
        )
        self.assertLessEqual({"/org/vgpud1", "/org/vgpud1/gpu", "/org/vgpud1/instance"}, set(paths))

    def test_introspect(self):
        uuid = self.create("mdpy-xga")
        for path, interface, members in (
            ("/org/vgpud1", "org.vgpud1.Manager", {".Create", ".ListTypes", ".Version", ".JobRemoved"}),
            ("/org/vgpud1", "org.freedesktop.DBus.ObjectManager", {".GetManagedObjects"}),
            ("/org/vgpud1/gpu/mdpy", "org.vgpud1.Gpu", {".Rescan", ".ListTypes", ".State"}),
            (vmcase.instance_path(uuid), "org.vgpud1.Instance", {".Destroy", ".GetHandOver", ".Uuid"}),
        ):
            told = vmcase.run("busctl", "introspect", "org.vgpud1", path, interface).out
            self.assertLessEqual(members, {line.split()[0] for line in told.splitlines()}, told)
        value = vmcase.run(
            "busctl", "get-property", "org.vgpud1", vmcase.instance_path(uuid), "org.vgpud1.Instance", "Uuid"
        ).out
        self.assertEqual(value, f's "{uuid}"\n')

    def test_create_and_destroy(self):
        create = (*MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga")
        job, (made,) = self.call(*create, 2, "wait", "b", "true", "name", "s", "desk")
        self.assertTrue(job.startswith("/org/vgpud1/job/"))
        (uuid,) = vmcase.devices()
        path = vmcase.instance_path(uuid)
        self.assertEqual(
            {key: made[key]["data"] for key in ("object_path", "uuid", "gpu", "type", "parent")},
            {
                "object_path": path,
                "uuid": uuid,
                "gpu": "/org/vgpud1/gpu/mdpy",
                "type": "mdpy-xga",
                "parent": "mdpy",
            },
        )
        (told,) = self.call("org.vgpud1", path, "org.vgpud1.Instance", "GetHandOver", "a{sv}", 0)
        self.assertEqual(made["hand_over"]["data"], told)
        # vgpuctl prints the properties that the bus has.
        (data,) = self.call(
            "org.vgpud1", path, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.vgpud1.Instance"
        )
        shown = vmcase.vgpuctl_json("show", "desk")["instance"]
        self.assertEqual(
            {key: shown["hand_over"][key] for key in told}, {key: told[key]["data"] for key in told}
        )
        for name in ("Uuid", "Name", "Type", "Parent", "Origin", "Owner", "SysfsPath", "IommuGroup"):
            key = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
            self.assertEqual(data[name]["data"], shown[key], name)
        refused = vmcase.run("busctl", "call", *create, 1, "name", "s", "desk", status=1).err
        self.assertIn("desk", refused)
        vmcase.run(
            "busctl",
            "call",
            "org.vgpud1",
            path,
            "org.vgpud1.Instance",
            "Destroy",
            "a{sv}",
            1,
            "wait",
            "b",
            "true",
        )
        self.assertEqual(vmcase.devices(), {})

    def test_without_waiting(self):
        """The answer names the job, and a signal announces the end of the job."""
        self.bus.forget()
        job, (made,) = self.call(*MANAGER, "Create", "ssa{sv}", "", "mtty-2", 0)
        self.assertEqual(set(made), {"object_path", "uuid", "gpu", "type"})
        path = made["object_path"]["data"]
        ended = self.bus.wait(lambda signal: signal.member == "JobRemoved" and signal.args[1] == job)
        number, _, *result, details = ended.args
        self.assertEqual(result, ["done", ""])
        self.assertEqual((details["kind"], details["instances"]), ("create", [path]))
        self.assertEqual([vmcase.instance_path(uuid) for uuid in vmcase.devices()], [path])
        # The daemon still knows the job that has ended.
        (kept,) = self.call(*MANAGER, "GetJob", "ua{sv}", number, 0)
        self.assertEqual((kept["state"]["data"], kept["result"]["data"]), ("ended", "done"))


class Python(vmcase.VgpudCase):
    def client(self, script):
        def run(*argv, **kwargs):
            return vmcase.run("python3", EXAMPLES / script, *argv, **kwargs)

        uuid = run("create", "mdpy-xga").out.strip()
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        self.assertEqual(run("list").out, f"{uuid} mdpy-xga vgpud\n")
        self.assertEqual(
            sorted(run("types").out.splitlines()),
            sorted(f"{kind.parent} {name} {kind.available}" for name, kind in vmcase.types().items()),
        )
        self.assertIn(vmcase.error_name("NoSuchType"), run("create", "mdpy-9", status=1).err)
        run("destroy", uuid)
        self.assertEqual(vmcase.devices(), {})
        self.assertIn(vmcase.error_name("NoSuchInstance"), run("destroy", uuid, status=1).err)

    def test_dbus_python(self):
        self.client("client-dbus-python.py")

    def test_gdbus(self):
        self.client("client-gdbus.py")


class Monitor(vmcase.VgpudCase):
    def test_events(self):
        """vgpuctl monitor prints what happens, in order."""
        process = vmcase.start("vgpuctl", "--json", "monitor")
        self.addCleanup(process.kill)
        self.assertEqual(json.loads(process.stdout.readline())["event"], "daemon-present")
        uuid = self.create("mdpy-xga")
        self.destroy(uuid)
        events = []
        while events.count("job-ended") < 2:
            events.append(json.loads(process.stdout.readline())["event"])
        print(events)
        wanted = ["job-added", "instance-added", "job-ended", "job-added", "instance-removed", "job-ended"]
        self.assertEqual([event for event in events if not event.endswith("-changed")], wanted)
        process.terminate()
        self.assertEqual(vmcase.finish(process).status, 0)


vmcase.main()
