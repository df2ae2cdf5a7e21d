# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt beside vgpud: libvirt shows and removes instances that vgpud made, and accepts the XML of the hand-over."""

import time
import xml.etree.ElementTree

import vmcase

DEBIAN = "13"

DOMAIN = """
<domain type='test'>
  <name>guest</name>
  <memory>8192</memory>
  <os><type>hvm</type></os>
  <devices>{}</devices>
</domain>
"""


def virsh(*argv, uri="nodedev:///system"):
    return vmcase.run("virsh", "-q", "-c", uri, *argv).out


def node_devices():
    """{UUID: name in libvirt} of the mediated devices that libvirt shows."""
    found = {}
    for name in virsh("nodedev-list", "--cap", "mdev").split():
        tree = xml.etree.ElementTree.fromstring(virsh("nodedev-dumpxml", name))
        found[tree.find("capability/uuid").text] = name
    return found


class Libvirt(vmcase.VgpudCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vmcase.run("systemctl", "start", "libvirtd")
        cls.addClassCleanup(vmcase.run, "systemctl", "stop", "libvirtd.socket", "libvirtd")

    def assertShown(self, *uuids):  # pylint: disable=invalid-name
        """libvirt shows these devices and no others, once libvirt has received the events."""
        end = time.monotonic() + vmcase.DEADLINE_SEC
        while (shown := node_devices()).keys() != set(uuids):
            self.assertLess(time.monotonic(), end, f"libvirt shows {shown}, not {uuids}")
        return shown

    def test_shows_what_vgpud_makes(self):
        self.assertShown()
        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        name = self.assertShown(uuid)[uuid]
        tree = xml.etree.ElementTree.fromstring(virsh("nodedev-dumpxml", name))
        self.assertEqual(tree.find("capability/type").get("id"), "mdpy-xga")
        self.assertEqual(
            vmcase.group_node(uuid), f"/dev/vfio/{tree.find('capability/iommuGroup').get('number')}"
        )
        vmcase.vgpuctl("destroy", uuid)
        self.assertShown()
        self.assertTruth()

    def test_removes_what_vgpud_made(self):
        uuid = vmcase.vgpuctl("create", "mtty-2", "--name", "desk").out.strip()
        virsh("nodedev-destroy", self.assertShown(uuid)[uuid])
        self.bus.until(lambda objects: not objects.instances)
        self.assertEqual((vmcase.devices(), vmcase.records()), ({}, []))
        self.assertTruth()

    def test_accepts_the_hand_over(self):
        uuid = vmcase.vgpuctl("create", "mbochs-small").out.strip()
        told = vmcase.vgpuctl_json("show", uuid)["instance"]["hand_over"]
        domain = vmcase.Path("/run/domain.xml")
        domain.write_text(DOMAIN.format(told["libvirt_xml"]), encoding="utf-8")
        vmcase.run("virt-xml-validate", domain, "domain")
        virsh("define", domain, uri="test:///default")
        vmcase.vgpuctl("destroy", uuid)


vmcase.main()
