# SPDX-License-Identifier: LGPL-2.1-or-later
"""An ordinary user: reading is open, changes are decided by polkit, with the real polkitd and its rules."""

import vmcase
from vmpolkit import Rules, allow

ALICE = "1000"
UUID = "11111111-2222-4333-8444-555555555555"
REFUSED = "ea069c9a78d24601a21b80ce5b6cf705"  # VGPUD_MESSAGE_REFUSED


class Users(Rules, vmcase.VgpudCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vmcase.run("groupadd", "vgpu")

    def join(self):
        vmcase.run("usermod", "-aG", "vgpu", "alice")
        self.addCleanup(vmcase.run, "gpasswd", "-d", "alice", "vgpu")

    def assertRefused(self, *argv):  # pylint: disable=invalid-name
        before = vmcase.devices()
        message = self.assertVgpuctlFails(4, "NotAuthorized", *argv, user="alice")
        print(message)
        self.assertEqual(vmcase.devices(), before)

    def test_looking_is_free(self):
        uuid = self.create("mdpy-xga", name="desk")
        for verb in (["types"], ["list"], ["gpus"], ["jobs"], ["show", "desk"], ["show", "mdpy"], []):
            self.assertEqual(
                vmcase.vgpuctl("--json", *verb, user="alice").out, vmcase.vgpuctl("--json", *verb).out
            )
        self.assertIn(uuid, vmcase.vgpuctl("list", user="alice").out)
        # The device nodes stay root's; handing them over is libvirt's or the administrator's work.
        self.assertTrue(vmcase.vgpuctl_json("show", "desk")["instance"]["hand_over"]["group_node"])

    def test_without_a_rule(self):
        """Without an agent polkit cannot authenticate alice, so vgpud refuses her calls, also with --no-ask-password."""
        self.assertRefused("create", "mdpy-xga")
        self.assertRefused("create", "mdpy-xga", "--no-ask-password")
        uuid = self.create("mdpy-xga")
        self.assertRefused("destroy", uuid)
        self.assertRefused("rescan", "mdpy")
        vmcase.create("mtty-1", UUID)
        self.bus.until(lambda objects: UUID in objects.instances)
        self.assertRefused("destroy", "--foreign", UUID)

    def test_by_dbus(self):
        def attempt():
            with vmcase.Bus() as bus:
                try:
                    bus.call(*vmcase.MANAGER, "Create", "ssa{sv}", "", "mdpy-xga", {"wait": True})
                except vmcase.dbus.DBusException as error:
                    return error.get_dbus_name()
            return "done"

        self.assertEqual(vmcase.in_child(attempt, user="alice"), vmcase.error_name("NotAuthorized"))
        self.assertEqual(vmcase.in_child(attempt), "done")

    def test_with_the_example(self):
        self.rule("50-vgpud.rules")
        # Alice is not in the group yet.
        self.assertRefused("create", "mdpy-xga")
        self.join()
        uuid = vmcase.vgpuctl("create", "mdpy-xga", "--name", "hers", user="alice").out.strip()
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        self.assertEqual(self.objects().instances[uuid]["Owner"], ALICE)
        self.assertIn("alice", vmcase.vgpuctl("list", user="alice").out)
        # The rule also limits the types and the number, and allows Alice to destroy only her own instances.
        self.assertRefused("create", "mtty-1")
        self.assertRefused("create", "mdpy-xga", "--count", "2")
        roots = self.create("mdpy-xga")
        self.assertRefused("destroy", roots)
        vmcase.vgpuctl("destroy", "hers", user="alice")
        self.assertEqual(vmcase.devices(), {roots: "mdpy-xga"})

    def test_owner_survives_a_restart(self):
        self.rule("50-vgpud.rules")
        self.join()
        uuid = vmcase.vgpuctl("create", "mdpy-xga", user="alice").out.strip()
        roots = self.create("mdpy-xga")
        vmcase.run("systemctl", "restart", "vgpud")
        self.assertEqual(self.objects().instances[uuid]["Owner"], ALICE)
        self.assertRefused("destroy", roots)
        vmcase.vgpuctl("destroy", uuid, user="alice")

    def test_foreign_has_an_action_of_its_own(self):
        self.rule("60-destroy.rules", allow("org.vgpud1.destroy") + allow("org.vgpud1.destroy-other"))
        roots = self.create("mdpy-xga")
        vmcase.create("mtty-1", UUID)
        self.bus.until(lambda objects: objects.instances.get(UUID, {}).get("Type"))
        self.assertRefused("destroy", "--foreign", UUID)
        vmcase.vgpuctl("destroy", roots, user="alice")
        self.assertEqual(vmcase.devices(), {UUID: "mtty-1"})
        self.rule("61-foreign.rules", allow("org.vgpud1.destroy-foreign"))
        self.assertVgpuctlFails(4, "Foreign", "destroy", UUID, user="alice")
        vmcase.vgpuctl("destroy", "--foreign", UUID, user="alice")
        self.assertEqual(vmcase.devices(), {})

    def test_instances_of_others_have_an_action_of_their_own(self):
        self.rule("60-destroy.rules", allow("org.vgpud1.create") + allow("org.vgpud1.destroy"))
        roots = self.create("mdpy-xga", name="desk")
        own = vmcase.vgpuctl("create", "mdpy-xga", user="alice").out.strip()
        self.assertRefused("destroy", "desk")
        vmcase.vgpuctl("destroy", own, user="alice")
        self.assertEqual(vmcase.devices(), {roots: "mdpy-xga"})
        self.rule("61-other.rules", allow("org.vgpud1.destroy-other", owner="0"))
        vmcase.vgpuctl("destroy", "desk", user="alice")
        self.assertEqual(vmcase.devices(), {})

    def test_rules_see_the_details(self):
        """Every detail of a call must match, or the rule does not apply."""
        uuid = self.create("mdpy-xga", name="desk")
        self.rule(
            "60-details.rules",
            allow("org.vgpud1.create", gpu="mdpy", type="mdpy-vga", count="2", name="", instance="", parent="", attributes="")
            + allow(
                "org.vgpud1.destroy-other",
                gpu="mdpy",
                type="mdpy-xga",
                instance=uuid,
                name="desk",
                mine="no",
                owner="0",
            )
            + allow("org.vgpud1.rescan", gpu="mtty"),
        )
        self.assertRefused("create", "mdpy-vga", "--count", "3")
        self.assertRefused("create", "mdpy-hd", "--count", "2")
        self.assertRefused("rescan", "mdpy")
        # This call names no GPU: the rule sees the GPU that vgpud chose.
        uuids = vmcase.vgpuctl("create", "mdpy-vga", "--count", "2", user="alice").out.split()
        vmcase.vgpuctl("rescan", "mtty", user="alice")
        # The instance has another type, no name and another owner than the rule allows.
        self.assertRefused("destroy", uuids[0])
        vmcase.vgpuctl("destroy", uuid, user="alice")
        self.assertEqual(set(vmcase.devices()), set(uuids))

    def test_refusals_in_the_journal(self):
        """After a restart, vgpud has refused alice nothing yet: it logs the next refusal with its fields."""
        vmcase.run("systemctl", "restart", "vgpud")
        uuid = self.create("mdpy-xga")
        self.assertRefused("destroy", uuid)
        refused = [entry for entry in vmcase.journal() if entry.get("MESSAGE_ID") == REFUSED]
        fields = ("VGPUD_REQUESTER", "VGPUD_ACTION", "VGPUD_INSTANCE", "VGPUD_GPU")
        self.assertEqual(
            tuple(refused[-1][field] for field in fields), (ALICE, "org.vgpud1.destroy-other", uuid, "mdpy")
        )
        self.assertIn(uuid, refused[-1]["VGPUD_OBJECT"])

    def test_without_polkit(self):
        vmcase.run("systemctl", "mask", "--runtime", "--now", "polkit")
        self.addCleanup(vmcase.run, "systemctl", "start", "polkit")
        self.addCleanup(vmcase.run, "systemctl", "unmask", "--runtime", "polkit")
        self.assertRefused("create", "mdpy-xga")
        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        self.assertIn(uuid, vmcase.vgpuctl("list", user="alice").out)


vmcase.main()
