# SPDX-License-Identifier: LGPL-2.1-or-later
"""GPUs and drivers that come and go while vgpud runs."""

import time

import vmcase

PCI = vmcase.Path("/sys/bus/pci/devices")
ADDRESS = "0000:00:03.0"
PATH = "/org/vgpud1/gpu/_30000_3a00_3a03_2e0"


class Hotplug(vmcase.VgpudCase):
    drivers = ("mtty",)

    def test_a_pci_gpu_goes_and_comes(self):
        before = self.objects().gpus[ADDRESS]
        self.assertEqual((before["Path"], before["State"]), (PATH, "unsupported"))
        self.bus.forget()
        vmcase.write(PCI / ADDRESS / "remove", "1")
        began = time.monotonic()
        signal = self.bus.wait(lambda signal: signal.member == "InterfacesRemoved")
        print(f"InterfacesRemoved {(signal.received - began) * 1000:.0f} ms after the removal")
        self.assertEqual(signal.args[0], PATH)
        self.assertNotIn(ADDRESS, self.objects().gpus)
        self.assertVgpuctlFails(3, "NoSuchGpu", "types", ADDRESS)
        vmcase.write("/sys/bus/pci/rescan", "1")
        began = time.monotonic()
        signal = self.bus.wait(
            lambda signal: signal.member == "InterfacesAdded" and "org.vgpud1.Gpu" in signal.args[1]
        )
        print(f"InterfacesAdded {(signal.received - began) * 1000:.0f} ms after the rescan")
        self.assertEqual(signal.args[0], PATH)
        self.bus.until(lambda objects: objects.gpus[ADDRESS]["Driver"] == before["Driver"])
        after = self.objects().gpus[ADDRESS]
        for name in ("Name", "VendorId", "DeviceId", "Class", "State", "Reason", "IommuGroup", "SysfsPath"):
            self.assertEqual(after[name], before[name], name)

    def test_a_driver_is_unbound_and_bound(self):
        driver = (PCI / ADDRESS / "driver").resolve()
        vmcase.write(driver / "unbind", ADDRESS)
        gpu = self.bus.until(lambda objects: objects.gpus[ADDRESS]["Driver"] == "").gpus[ADDRESS]
        self.assertEqual(gpu["State"], "unsupported")
        unbound = gpu["Reason"]
        self.assertTrue(unbound)
        vmcase.write(driver / "bind", ADDRESS)
        gpu = self.bus.until(lambda objects: objects.gpus[ADDRESS]["Driver"] == driver.name).gpus[ADDRESS]
        self.assertIn(driver.name, gpu["Reason"])
        self.assertNotEqual(gpu["Reason"], unbound)

    def test_names_of_the_hardware_database(self):
        gpu = self.objects().gpus["0000:00:04.0"]
        self.assertEqual((gpu["VendorName"], gpu["DeviceName"]), vmcase.names_of(PCI / gpu["Name"]))
        self.assertEqual((gpu["VendorId"], gpu["DeviceId"]), (0x1AF4, 0x1050))
        self.assertEqual(gpu["NumaNode"], int((PCI / gpu["Name"] / "numa_node").read_text()))
        self.assertEqual(gpu["IommuGroup"], int((PCI / gpu["Name"] / "iommu_group").resolve().name))
        self.assertEqual(gpu["SysfsPath"], str((PCI / gpu["Name"]).resolve()))

    def test_a_sample_driver_comes_and_goes(self):
        self.bus.forget()
        vmcase.load("mdpy")
        began = time.monotonic()
        signal = self.bus.wait(lambda signal: signal.member == "InterfacesAdded")
        self.assertEqual(signal.args[0], "/org/vgpud1/gpu/mdpy")
        print(f"InterfacesAdded {(signal.received - began) * 1000:.0f} ms after modprobe")
        self.bus.until(lambda objects: objects.ready("mdpy"))
        self.assertTruth()
        self.create("mdpy-xga")
        self.bus.forget()
        vmcase.unload("mdpy")
        self.bus.wait(
            lambda signal: signal.member == "InterfacesRemoved" and signal.args[0] == "/org/vgpud1/gpu/mdpy"
        )
        objects = self.assertTruth()
        self.assertNotIn("mdpy", objects.gpus)
        self.assertEqual(objects.instances, {})

    def test_many_times(self):
        """Drivers are loaded and unloaded without a break: in the end vgpud shows exactly the GPUs that exist."""
        for _ in range(5):
            vmcase.run("sh", "-c", "modprobe mdpy && rmmod mdpy && modprobe mbochs && rmmod mbochs")
        vmcase.load("mdpy")
        self.bus.until(lambda objects: objects.ready("mdpy") and "mbochs" not in objects.gpus)
        self.assertTruth()
        vmcase.unload("mdpy")
        self.bus.until(lambda objects: "mdpy" not in objects.gpus)


vmcase.main()
