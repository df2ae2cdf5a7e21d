# SPDX-License-Identifier: LGPL-2.1-or-later
"""Helpers of cases with definitions."""

import vmcase

CONFIG = vmcase.Path("/etc/vgpud/vgpud.conf")
UNITS = vmcase.Path("/etc/systemd/system")
WANTED = vmcase.Path("/run/vgpud/wanted")

# daemon/base/log-ids.h
INSTANCE_LOST = "832de575ba2948b8a8a2aeabd0634a12"
START_WAITS = "6380a100514942a188f53de424077f4a"
READY = "22837b1752ab4da5a82350b229545e39"
DEGRADED = "f6b67d9689614238a2e2eb46770aa7c6"


class Defined:
    """A mix-in of a case with a Bus in `bus`."""

    def rows(self):
        table = self.bus.call(*vmcase.MANAGER, "ListDefinitions", "a{sv}", {})
        return [dict(zip(table, row)) for row in zip(*table.values())]

    def states(self):
        return {row["uuid"]: row["state"] for row in self.rows()}

    def define(self, kind, *options):
        return vmcase.vgpuctl("define", kind, *options).out.strip()

    def start(self, *definitions):
        vmcase.vgpuctl("start", *definitions)

    def stop(self, *definitions):
        vmcase.vgpuctl("stop", *definitions)

    def until_states(self, **wanted):
        """Wait until the definitions, named by keywords, have these states. Returns the rows by name."""
        seen = {}

        def holds(_):
            seen.update({row["name"]: row for row in self.rows()})
            return wanted.items() <= {name: row["state"] for name, row in seen.items()}.items()

        try:
            self.bus.until(holds)
        except AssertionError as error:
            raise AssertionError(f"not {wanted}, but {seen}: {error}") from None
        return seen

    def readiness(self):
        return self.bus.get(*vmcase.MANAGER, "Readiness")

    def until_readiness(self, wanted):
        self.bus.until(lambda _: self.readiness() == wanted)

    def missing(self):
        texts, _ = self.bus.call(*vmcase.MANAGER, "ListMissing", "a{sv}", {})
        return texts
