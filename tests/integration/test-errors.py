#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every errno of the kernel for create and remove: D-Bus error, exit status of vgpuctl, and explanation."""

import bus
import host
import runner
import simhost
from host import A2, GVT, S0, V5_1, V5_4, V5_8, uuid

L40S = "0000:41:00.0"
XE = "0000:03:00.0"
IGPU = "0000:00:02.0"
GEFORCE = "0000:01:00.0"

# D-Bus error -> exit status of vgpuctl. Scripts rely on the status, so the table repeats the mapping on purpose.
STATUS = {"Failed": 1, "GpuGone": 1, "Canceled": 1, "Inconsistent": 1, "InvalidArgs": 2, "Ambiguous": 2, "NoSuchGpu": 3,
          "NoSuchType": 3, "NoSuchInstance": 3, "NoSuchJob": 3, "NotAuthorized": 4, "Foreign": 4, "NoCapacity": 5,
          "TooManyJobs": 6, "Exists": 6, "InUse": 6, "GpuStuck": 6, "NotSupported": 7}

# errno -> D-Bus error, id of the hint, words of the message
CREATE = {
    "EINVAL": ("Failed", "see-kernel-log", V5_4, GVT, "Invalid argument"),
    "EEXIST": ("Exists", "", uuid(1)),
    "EUSERS": ("NoCapacity", "choose-other", V5_4, GVT),
    "ENODEV": ("GpuGone", "", GVT),
    "ENOMEM": ("Failed", "", V5_4, GVT, "Cannot allocate memory"),
    "ENOSPC": ("NoCapacity", "choose-other", V5_4, GVT),
    "EIO": ("Failed", "see-kernel-log", V5_4, GVT, "Input/output error"),
    "EAGAIN": ("Failed", "try-again", V5_4, GVT, "Resource temporarily unavailable"),
    "EPERM": ("Failed", "", V5_4, GVT, "Operation not permitted"),
    "EACCES": ("Failed", "", V5_4, GVT, "Permission denied"),
    "EBUSY": ("Failed", "see-kernel-log", V5_4, GVT, "Device or resource busy"),
    "EOPNOTSUPP": ("Failed", "see-kernel-log", V5_4, GVT, "Operation not supported"),
    "ETIMEDOUT": ("Failed", "see-kernel-log", V5_4, GVT, "Connection timed out"),
    "EUCLEAN": ("Failed", "see-kernel-log", V5_4, GVT, "Structure needs cleaning"),
}

# The id of vgpuctl's own hint where the daemon has none.
VGPUCTL_HINT = {"Exists": "list-instances", "Failed": "see-journal", "GpuGone": None}

REMOVE = {
    "EBUSY": ("InUse", "stop-user", "Device or resource busy"),
    "EPERM": ("InUse", "stop-user", "Operation not permitted"),
    "ENODEV": ("GpuGone", "", "No such device"),
    "EAGAIN": ("Failed", "try-again", "Resource temporarily unavailable"),
    "EIO": ("Failed", "see-kernel-log", "Input/output error"),
    "EINVAL": ("Failed", "see-kernel-log", "Invalid argument"),
}


class ErrorTest(host.HostTest):
    def assert_vgpuctl(self, result, name, *words):
        self.assertEqual((result.status, result.out), (STATUS[name], ""), result)
        for word in words:
            self.assertIn(word, " ".join(result.err.split()))  # the hint is on a line of its own


class Create(ErrorTest):
    def test_every_errno(self):
        h = self.host()
        for errno, (name, hint, *words) in CREATE.items():
            with self.subTest(errno=errno):
                h.sim.fault(f"create:*:errno={errno}:3")
                message = self.assert_error(name, h.bus.start_create(GVT, V5_4, uuid=uuid(1)), *words, hint=hint)
                self.assertEqual(message.count("\nHint: "), 1 if hint else 0)
                for line in message.split("\nHint: "):
                    self.assertNotIn("\n", line)
                    self.assertFalse(line.endswith("."), message)
                self.assert_vgpuctl(h.vgpuctl("create", V5_4, "--uuid", uuid(1)), name, *words)
                result = h.vgpuctl("create", V5_4, "--uuid", uuid(1), "--json")
                self.assertEqual((result.status, result.error()["name"], result.error()["hint_id"]),
                                 (STATUS[name], f"org.vgpud1.Error.{name}", hint or VGPUCTL_HINT[name]))
                # A caller that does not wait gets the same error from the signal. The three creates have used up the
                # fault above.
                h.sim.fault(f"create:*:errno={errno}:1")
                job = h.bus.queue_create(GVT, V5_4, uuid=uuid(2))
                ended = h.mirror.await_end(job)
                self.assertEqual((ended[0], ended[1], ended[3]), ("failed", name, [uuid(2)]))
                self.assertEqual(h.mirror.hint_ids[bus.number_of(job)], hint)
                for word in words:
                    self.assertIn(word.replace(uuid(1), uuid(2)), ended[2])
                self.assertEqual((h.tree(), h.records()), (set(), {}))
                # The failed instance leaves no trace.
                bus.wait(lambda: h.bus.gpu(GVT).get("State") == "ready", "the GPU is ready again")
                h.bus.create(GVT, V5_4, uuid=uuid(1))
                h.bus.destroy(uuid(1))
        self.assertEqual(h.mirror.instances(), {})

    def test_full_budget(self):
        h = self.host()
        h.bus.create(GVT, V5_1)
        self.assert_error("NoCapacity", h.bus.start_create(GVT, V5_1), "512 MB", "GVTg_V5_4 (1)", "GVTg_V5_8 (1)",
                          hint="choose-other")
        h.bus.create(GVT, V5_4)
        self.assert_error("NoCapacity", h.bus.start_create(GVT, V5_8), V5_8, hint="destroy-instance")
        self.assert_vgpuctl(h.vgpuctl("create", V5_1), "NoCapacity", V5_1)
        self.assertEqual(h.vgpuctl("create", V5_1, "--json").error()["hint_id"], "destroy-instance")
        # vgpud refused without asking the kernel.
        self.assertEqual({w[0] for w in h.writes("create")}, {"ok"})

    def test_plain_answer(self):
        """The text of an error is the same with and without details; only details have the id of the hint."""
        h = self.host()
        h.bus.create(GVT, V5_1)
        plain, detailed = (h.bus.start_create(GVT, V5_1, error_details=wanted) for wanted in (False, True))
        self.assertEqual((plain.error(), detailed.error()), ("NoCapacity", "NoCapacity"))
        self.assertEqual((plain.failure.clause, plain.failure.details), (detailed.failure.message, {}))
        self.assertEqual(detailed.failure.hint_id, "choose-other")

    def test_one_size_per_gpu(self):
        h = self.host("nvidia-a2")
        h.bus.create(A2, "A2-4Q")
        types = h.bus.gpu(A2).types()
        self.assertEqual((types["nvidia-746"]["available"], types["nvidia-747"]["available"]), (3, 0))
        self.assert_error("NoCapacity", h.bus.start_create(A2, "A2-8Q"), "4096 MB", "8192 MB", hint="choose-other")
        h.bus.create(A2, "A2-4Q", count=3)
        self.assert_error("NoCapacity", h.bus.start_create(A2, "A2-4Q"), "4096 MB", hint="destroy-instance")

    def test_a_driver_that_promises_too_much(self):
        h = self.host("samples")
        h.bus.create("mdpy", "mdpy-xga", count=4)
        self.assert_error("NoCapacity", h.bus.start_create("mdpy", "mdpy-vga"), "mdpy-vga", hint="destroy-instance")
        self.assertEqual([w[0] for w in h.writes("create")], ["ok"] * 4)  # vgpud knew that there is no room, and did not write
        h.sim.ctl("set", "/sys/class/mdev_bus/mdpy/mdev_supported_types/mdpy-hd/available_instances", 2)
        self.assert_error("NoCapacity", h.bus.start_create("mdpy", "mdpy-hd"), "mdpy-hd", hint="destroy-instance")
        self.assert_vgpuctl(h.vgpuctl("create", "mdpy-hd"), "NoCapacity", "mdpy-hd")
        self.assertEqual([w[0] for w in h.writes("create")], ["ok"] * 4 + ["EUSERS"] * 2)

    def test_vendor_without_errno(self):
        # NVIDIA's driver refuses everything with EIO. The error is NoCapacity only if the type has no room.
        h = self.host("scalable", options=simhost.scalable(1, 0, 3))
        h.bus.create(S0, "nvidia-1000")
        h.sim.fault("create:*:errno=EIO:1")
        self.assert_error("Failed", h.bus.start_create(S0, "nvidia-1000"), "Input/output error", hint="see-kernel-log")
        self.assert_error("NoCapacity", h.bus.start_create(S0, "nvidia-1001"))

    def test_uuid_of_none(self):
        h = self.host("gvt-g")
        nil = "00000000-0000-0000-0000-000000000000"
        self.assert_error("InvalidArgs", h.bus.start_create(GVT, V5_4, uuid=nil), nil, hint="choose-other")
        self.assertEqual(h.writes("create"), [])

    def test_uuid_in_use(self):
        h = self.host("gvt-g", "samples")
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        for gpu, type_name in ((GVT, V5_4), ("mdpy", "mdpy-vga")):
            self.assert_error("Exists", h.bus.start_create(gpu, type_name, uuid=uuid(1)), uuid(1), GVT, V5_4)
            self.assert_error("Exists", h.bus.start_create(gpu, type_name, uuid=uuid(1).upper()), uuid(1), GVT, V5_4)
        self.assert_vgpuctl(h.vgpuctl("create", "mdpy-vga", "--uuid", uuid(1)), "Exists", GVT)
        self.assertEqual(len(h.writes("create")), 1)

    def test_uuid_being_made(self):
        h = self.host(faults=["create:*:hang:1"])
        first = h.bus.start_create(GVT, V5_4, uuid=uuid(1), name="one")
        h.hanging(1)
        self.assert_error("Exists", h.bus.start_create(GVT, V5_4, uuid=uuid(1)), "job 1", GVT)
        self.assert_error("Exists", h.bus.start_create(GVT, V5_4, name="one"), "one", uuid(1))
        h.sim.ctl("release")
        self.assertIsNone(first.error())

    def test_uuid_taken_behind_our_back(self):
        # The kernel has a device of which the daemon does not know, because its event is lost.
        h = self.host("gvt-g", "samples")
        h.sim.ctl("drop-events", 1000)
        h.foreign("mdpy", "mdpy-xga", 1)
        self.assert_error("Exists", h.bus.start_create(GVT, V5_4, uuid=uuid(1)), "mdpy-xga", "mdpy")
        h.sim.ctl("drop-events", 0)
        h.bus.gpu("mdpy").call("Rescan", wait=True)

    def test_the_writer_cannot_be_started(self):
        h = self.host(start=False)
        command = h.daemon_command()
        h.daemon_command = lambda *more: [*(c for c in command if not c.startswith("--writer")), "--writer=/nonexistent/writer"]
        h.start()
        self.assert_error("Failed", h.bus.start_create(GVT, V5_4), "vgpud-write", hint="see-journal")
        self.assertIn("/nonexistent/writer", h.log())
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))

    def test_the_writer_dies(self):
        h = self.host(start=False)
        script = h.config / "writer"
        script.write_text("#!/bin/sh\nexit 0\n", "ascii")
        script.chmod(0o755)
        command = h.daemon_command()
        h.daemon_command = lambda *more: [*(c for c in command if not c.startswith("--writer")), f"--writer={script}"]
        h.start()
        self.assert_error("Failed", h.bus.start_create(GVT, V5_4), "vgpud-write", hint="see-journal")
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))


class Remove(ErrorTest):
    def test_every_errno(self):
        for errno, (name, hint, *words) in REMOVE.items():
            with self.subTest(errno=errno):
                h = self.host()
                for number in (1, 2, 3):
                    h.bus.create(GVT, V5_4, uuid=uuid(number))
                h.sim.fault(f"remove:*:errno={errno}:3")
                self.assert_error(name, h.bus.instance(uuid(1)).start("Destroy", wait=True), uuid(1), *words, hint=hint)
                self.assert_vgpuctl(h.vgpuctl("destroy", uuid(2)), name, uuid(2), *words)
                data = h.vgpuctl("destroy", uuid(3), "--json").json()["results"][0]["error"]
                self.assertEqual((data["name"], data["hint_id"]), (f"org.vgpud1.Error.{name}", hint or None))
                # The instance still exists and belongs to vgpud, but the kernel has removed its file "remove".
                self.assertEqual((h.tree(), set(h.records())), ({uuid(1), uuid(2), uuid(3)},) * 2)
                self.assertEqual(h.bus.instances()[uuid(1)]["Origin"], "vgpud")
                self.assert_error("Failed", h.bus.instance(uuid(1)).start("Destroy", wait=True), uuid(1),
                                  "No such file or directory", hint="remove-by-hand")
                h.sim.ctl("fault", "clear")
                h.sim.ctl("unregister", GVT)
                bus.wait(lambda h=h: not h.mirror.instances(), "all instances are gone")
                h.close()

    def test_in_use(self):
        h = self.host("gvt-g", "samples")
        for number, (gpu, type_name) in enumerate(((GVT, V5_4), ("mdpy", "mdpy-vga")), 1):
            h.bus.create(gpu, type_name, uuid=uuid(number))
            h.sim.ctl("hold-device", uuid(number))
            self.assert_error("InUse", h.bus.instance(uuid(number)).start("Destroy", wait=True), hint="stop-user")
            self.assert_vgpuctl(h.vgpuctl("destroy", uuid(number)), "InUse")
            self.assertNotIn(f"{uuid(number)}/remove", [w[1] for w in h.writes("remove")])  # a write would block
            self.assertEqual(h.bus.instances()[uuid(number)]["State"], "active")
            h.sim.ctl("drop-device", uuid(number))
            h.bus.instance(uuid(number)).call("Destroy", wait=True)
        self.assertEqual(h.tree(), set())

    def test_gone_already(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.sim.ctl("drop-events", 1000)
        h.sim.ctl("remove", uuid(1))
        try:
            h.bus.instance(uuid(1)).call("Destroy", wait=True)  # success: the device is gone
        except bus.Error as error:  # a scan after the creation noticed the loss
            self.assertIn("UnknownObject", error.name)
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))

    def test_unknown(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(0x11))
        h.bus.create(GVT, V5_4, uuid=uuid(0x12))
        for what, name in ((uuid(9), "NoSuchInstance"), ("nobody", "NoSuchInstance"), ("0000001", "NoSuchInstance"), ("", "InvalidArgs"),
                           ("../x", "InvalidArgs"), ("-", "InvalidArgs")):
            self.assert_error(name, h.bus.manager.start("GetInstance", what))
            self.assert_error(name, h.bus.manager.start("Destroy", what))
            if what:
                # vgpuctl itself resolves a word that is no whole UUID; two UUIDs begin with 0000001.
                shown = "Ambiguous" if what == "0000001" else "NoSuchInstance"
                self.assert_vgpuctl(h.vgpuctl("destroy", "--", what), shown)
        self.assert_error("org.freedesktop.DBus.Error.UnknownObject", h.bus.instance(uuid(9)).start("Destroy"))
        self.assertEqual(len(h.bus.instances()), 2)

    def test_two_at_once(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.sim.fault("remove:*:hang:1")
        first = h.bus.instance(uuid(1)).start("Destroy", wait=True)
        h.hanging(1)
        bus.wait(lambda: h.bus.instance(uuid(1)).get("Job") != "/", "the instance has a job")
        self.assert_error("InUse", h.bus.instance(uuid(1)).start("Destroy", wait=True), "job 2", uuid(1), hint="wait-for-job")
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        self.assertEqual(h.bus.instances(), {})


class Unreadable(ErrorTest):
    """One part of a GPU that cannot be read hides no other part."""

    VFS = ("0000:41:00.4", "0000:41:00.5")

    def await_reason(self, h, gpu, word):
        bus.wait(lambda: word in h.bus.gpu(gpu).get("Reason"), f"{gpu} names {word}")
        self.assertEqual((h.bus.gpu(gpu).get("State"), h.bus.gpu(gpu).get("HintId")), ("ready", "see-kernel-log"))

    def test_function(self):
        h = self.host("nvidia-l40s")
        h.bus.gpu(L40S).call("SetVfs", 32, wait=True)
        for number, vf in enumerate(self.VFS, 1):
            h.bus.create(L40S, "L40S-4Q", uuid=uuid(number), parent=vf)
        h.sim.fault(f"read:{self.VFS[0]}/current_vgpu_type:errno=EIO")
        h.bus.gpu(L40S).call("Rescan", wait=True)
        self.await_reason(h, L40S, self.VFS[0])
        self.assertEqual(set(h.bus.instances()), {uuid(1), uuid(2)})
        h.kill()
        h.start()
        self.await_reason(h, L40S, self.VFS[0])
        self.assertEqual(set(h.bus.instances()), {uuid(2)})
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(3))
        h.bus.destroy(uuid(2))
        h.bus.destroy(uuid(3))
        h.sim.fault("clear")
        h.bus.gpu(L40S).call("Rescan", wait=True)
        bus.wait(lambda: h.bus.gpu(L40S).get("Reason") == "", "all VFs can be read again")
        self.assertEqual({u: i["Origin"] for u, i in h.bus.instances().items()}, {uuid(1): "vgpud"})
        h.bus.destroy(uuid(1))

    def test_availability(self):
        """The verbs types, place and create name the file."""
        h = self.host()
        file = f"{V5_4}/available_instances"
        h.sim.fault(f"read:{file}:errno=EIO")
        h.bus.gpu(GVT).call("Rescan", wait=True)
        self.await_reason(h, GVT, file)
        self.assertIn(file, "".join(h.vgpuctl("types", GVT, "--why").out.split()))
        (candidate,) = h.vgpuctl("place", V5_4, "--json").json()["candidates"]
        self.assertIn(file, candidate["reason"])
        for gpu in ("", GVT):
            self.assert_error("Failed", h.bus.start_create(gpu, V5_4), file)
        h.bus.create(GVT, V5_8)


class Unprepared(ErrorTest):
    """A GPU offers nothing: the answers to types, create and enable-vfs name the missing step."""

    def assert_reason(self, h, gpu, state, hint, *words):
        shown = h.bus.gpu(gpu)
        self.assertEqual((shown.get("State"), shown.get("HintId")), (state, hint))
        text = f"{shown.get('Reason')} {shown.get('Hint')}"
        why = " ".join(h.vgpuctl("types", gpu, "--why").out.split())
        for word in words:
            self.assertIn(word, text)
            self.assertIn(word, why)
        self.assert_error("NotSupported", h.bus.start_create(gpu, "any"), hint=hint)

    def assert_enabling(self, h, gpu, hint, *words):
        """SetVfs, and enable-vfs with a number and without, fail with NotSupported, this hint and these words."""
        message = self.assert_error("NotSupported", h.bus.gpu(gpu).start("SetVfs", 1, wait=True), gpu, hint=hint)
        for word in words:
            self.assertIn(word, message)
        for more in ((), ("1",)):
            self.assert_vgpuctl(h.vgpuctl("enable-vfs", gpu, *more), "NotSupported", gpu, *words)
            self.assertEqual(h.vgpuctl("enable-vfs", gpu, *more, "--json").error()["hint_id"], hint)

    def test_max_vfs(self):
        for model, gpu, driver in (("i915-sriov", IGPU, "i915"), ("xe", XE, "xe"), ("xe-igpu", IGPU, "xe")):
            with self.subTest(model=model):
                parameter = f"/sys/module/{driver}/parameters/max_vfs"
                h = self.host(model, start=False)
                h.sim.ctl("set", parameter, 0)
                h.sim.ctl("set", f"/sys/bus/pci/devices/{gpu}/sriov_totalvfs", 0)
                h.start()
                words = (parameter, f"{driver}.max_vfs=")
                self.assert_reason(h, gpu, "unsupported", "configure-driver", *words)
                self.assert_enabling(h, gpu, "configure-driver", *words)
                self.assertEqual(h.writes("sriov_numvfs"), [])
                h.close()

    def test_driver_for_graphics(self):
        """A GeForce has the driver for graphics, and advertises one VF. Test with NVIDIA's library, then without it."""
        for library in (True, False):
            with self.subTest(library=library):
                h = self.host("nvidia-geforce", start=False)
                if not library:
                    command = h.daemon_command()
                    h.daemon_command = lambda *more, command=command: [
                        *(c for c in command if not c.startswith("--nvml")), "--nvml=/nonexistent/vgpud-nvml"]
                h.start()
                self.assertEqual((h.bus.gpu(GEFORCE).get("TotalVfs"), h.bus.gpu(GEFORCE).get("BackEnd")), (1, "nvidia-vfio"))
                self.assert_reason(h, GEFORCE, "unprepared", "load-driver")
                if library:
                    self.assert_enabling(h, GEFORCE, "load-driver")
                self.assertEqual((h.writes("sriov_numvfs"), h.bus.gpu(GEFORCE).get("EnabledVfs")), ([], 0))
                h.close()


if __name__ == "__main__":
    runner.main()
