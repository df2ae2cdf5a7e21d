#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many events and many cycles: the model ends equal to the kernel, and the daemon ends at its initial size."""

import random
import threading

import bus
import host
import runner
import simhost
from host import A2, GVT, S0, S1, V5_8, uuid

CYCLES = 2000
WARM_UP = 200
GROWTH_KIB = 8 * 1024


class Storm(host.HostTest):
    def same(self, h):
        """The model equals the kernel, and the signals agree."""
        if "mbochs" in h.bus.gpus():
            h.pass_barrier()
        bus.wait(lambda: set(h.bus.instances()) == h.tree(), "the instances are the kernel's")
        bus.wait(lambda: all(gpu["State"] == "ready" for gpu in h.bus.gpus().values()), "every GPU has been scanned")
        h.settle()
        for name, gpu in h.bus.gpus().items():
            self.assertEqual((name, gpu["State"], gpu["Stale"], gpu["Job"]), (name, "ready", False, "/"))
            on_it = [i for i in h.bus.instances().values() if i["Gpu"] == bus.gpu_path(name)]
            self.assertTrue(all(i["Type"] in gpu["types"] for i in on_it))
        bus.wait(lambda: self.told_availability(h) == self.true_availability(h), "availability is the kernel's")

    @staticmethod
    def told_availability(h):
        return {(n, t): v["available"] for n, g in h.bus.gpus().items() for t, v in g["types"].items()}

    @staticmethod
    def true_availability(h):
        """The room of all parents added up. While a GPU has room, each of its VFs reports room, so the room of a GPU with VFs is
        at most max_instances less its instances."""
        listing = h.sim.run(["sh", "-c", "grep . /sys/class/mdev_bus/*/mdev_supported_types/*/available_instances"],
                            capture_output=True).stdout
        gpus = h.bus.gpus()
        instances = h.bus.instances().values()
        gpu_of = {parent: name for name, gpu in gpus.items() for parent in gpu["Parents"]}
        found = {}
        for line in listing.splitlines():
            path, _, value = line.rpartition(":")
            _, _, _, _, parent, _, type_name, _ = path.split("/")
            key = gpu_of.get(parent), type_name
            found[key] = found.get(key, 0) + int(value)
        for (name, type_name), value in found.items():
            if name and gpus[name]["EnabledVfs"] and type_name in gpus[name]["types"]:
                room = gpus[name]["types"][type_name]["max_instances"] - sum(i["Gpu"] == bus.gpu_path(name) for i in instances)
                found[name, type_name] = min(value, max(room, 0))
        return found

    def foreigners(self, h, seed, count, wanted):
        """Make and remove foreign devices as fast as possible."""
        chance = random.Random(seed)
        mine = []
        for step in range(count):
            try:
                if mine and chance.random() < 0.5:
                    h.sim.ctl("remove", mine.pop(chance.randrange(len(mine))))
                else:
                    name = uuid(seed * 100_000 + step)
                    h.sim.ctl("create", *chance.choice(wanted), name)
                    mine.append(name)
            except simhost.ControlError:
                pass  # no room, or another thread has removed the device

    def run_threads(self, *threads):
        for thread in threads:
            thread.start()
        bus.wait(lambda: not any(t.is_alive() for t in threads), "the threads have ended")

    def test_1000_foreign_devices(self):
        h = self.host("gvt-g", "nvidia-a2", "samples")
        parents = h.bus.gpu(A2).get("Parents")
        wanted = [("mtty", "mtty-1"), ("mdpy", "mdpy-xga"), (GVT, V5_8)]
        wanted += [(p, "nvidia-744") for p in parents]
        self.run_threads(*(threading.Thread(target=self.foreigners, args=(h, n, 500, wanted)) for n in (1, 2)))
        self.assertGreater(len(h.sim.events()), 2000)
        self.same(h)
        self.assertEqual({i["Origin"] for i in h.bus.instances().values()} - {"foreign"}, set())

    def test_with_work_of_our_own(self):
        h = self.host("gvt-g", "samples")
        wanted = [("mtty", "mtty-1"), (GVT, V5_8)]
        thread = threading.Thread(target=self.foreigners, args=(h, 3, 300, wanted))
        thread.start()
        chance = random.Random(4)
        ours = []
        while thread.is_alive():
            calls = [h.bus.start_create(*w) for w in chance.choices([("mtty", "mtty-1"), (GVT, V5_8)], k=4)]
            for call in calls:
                if call.error() is None:
                    ours += bus.uuids_of(call.value.unpack()[1])
                else:
                    self.assertIn(call.error(), ("NoCapacity", "Failed"))
            while len(ours) > 4:
                h.bus.destroy(ours.pop(0))
        thread.join()
        self.same(h)
        self.assertEqual({u for u, i in h.bus.instances().items() if i["Origin"] == "vgpud"}, set(ours))
        self.assertEqual(set(h.records()), set(ours))

    def test_bursts_of_virtual_functions(self):
        h = self.host("scalable", "samples", options=simhost.scalable(2, 64, 4))
        for _ in range(6):
            for words in (("unplug", S0), ("unbind", S1), ("plug", S0), ("bind", S1)):
                h.sim.ctl(*words)
        present = [S0, S1, "mbochs", "mdpy", "mtty"]
        bus.wait(lambda: sorted(h.bus.gpus()) == present, "vgpud has discovered all GPUs again")
        self.same(h)
        self.assertEqual(sorted(h.bus.gpus()), present)
        self.assertEqual([len(h.bus.gpu(g).get("Parents")) for g in (S0, S1)], [64, 64])
        seen = {e[1] for e in h.mirror.log if e[0] == "added" and "/gpu/" in e[1]}  # no virtual function as a GPU
        self.assertLessEqual(seen, {bus.gpu_path(S0), bus.gpu_path("mbochs")})

    def test_many_clients(self):
        h = self.host()
        files = h.open_files()
        for _ in range(5):
            clients = [h.client() for _ in range(50)]
            calls = [c.start(bus.ROOT, bus.OBJECT_MANAGER, "GetManagedObjects", None, "(a{oa{sa{sv}}})") for c in clients]
            for call in calls:
                self.assertIsNone(call.error())
            for client in clients:
                client.close()
        h.await_open_files(files)


class Cycles(host.HostTest):
    def test_memory(self):
        h = self.host("samples", start=False)
        h.start(mirror=False)
        client = h.client()

        def cycle(number):
            name = uuid(number)
            client.create("mtty", "mtty-1", uuid=name, name=f"n{number}")
            client.destroy(name)

        for number in range(WARM_UP):
            cycle(number)
        before, files, threads = h.resident_kib(), h.open_files(), h.threads()
        for number in range(WARM_UP, CYCLES):
            cycle(number)
        after = h.resident_kib()
        print(f"     resident: {before} KiB after {WARM_UP} cycles, {after} KiB after {CYCLES}; "
              f"{h.open_files()} files, {h.threads()} threads")
        if not host.IS_ASAN:  # ASan keeps freed memory, and reports leaks itself
            self.assertLess(after - before, GROWTH_KIB)
        h.await_open_files(files)
        self.assertLessEqual(h.threads(), threads)
        self.assertEqual((h.bus.instances(), h.bus.jobs(), h.records()), ({}, {}, {}))
        self.assertEqual(len(h.bus.managed()), 3)  # only the host's GPUs

    def test_memory_of_refusals_and_foreigners(self):
        h = self.host("samples", faults=["create:*:errno=EIO"])
        h.bus.start_create("mtty", "mtty-1").error()

        def cycle():
            for call in (h.bus.start_create("mtty", "mtty-1", attributes=[("a/b", "c")]), h.bus.start_create("x", "y"),
                         h.bus.start_create("mtty", "z"), h.bus.instance(uuid(1)).start("Destroy"), h.bus.gpu("mdpy").start("Rescan")):
                call.error()

        for _ in range(50):
            cycle()
        before, files = h.resident_kib(), h.open_files()
        for _ in range(450):
            cycle()
        after = h.resident_kib()
        print(f"     resident: {before} KiB, {after} KiB after 450 times more")
        if not host.IS_ASAN:
            self.assertLess(after - before, GROWTH_KIB)
        h.await_open_files(files)


if __name__ == "__main__":
    runner.main()
