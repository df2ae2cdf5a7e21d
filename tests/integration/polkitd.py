# SPDX-License-Identifier: LGPL-2.1-or-later
"""python-dbusmock's polkitd, with CancelCheckAuthorization. Like polkit, the mock answers a canceled question with an
error."""

import dbus
from dbusmock.templates import polkitd

BUS_NAME = polkitd.BUS_NAME
MAIN_OBJ = polkitd.MAIN_OBJ
MAIN_IFACE = polkitd.MAIN_IFACE
SYSTEM_BUS = polkitd.SYSTEM_BUS
MOCK = "org.freedesktop.DBus.Mock"


def load(mock, parameters):
    polkitd.load(mock, parameters)
    mock.hanging_questions = {}  # cancellation id -> (ok, err, answer)


@dbus.service.method(MAIN_IFACE, in_signature="(sa{sv})sa{ss}us", out_signature="(bba{ss})", async_callbacks=("ok", "err"))
def CheckAuthorization(self, _subject, action, _details, _flags, cancellation, ok, err):
    answer = (action in self.allowed or self.allow_unknown, False, {"test": "test"})
    if self.simulate_hang or action in self.hanging_actions:
        self.hanging_questions[cancellation] = (ok, err, answer)
    else:
        ok(answer)


@dbus.service.method(MAIN_IFACE, in_signature="s", out_signature="")
def CancelCheckAuthorization(self, cancellation):
    _ok, err, _answer = self.hanging_questions.pop(str(cancellation))
    err(dbus.exceptions.DBusException("canceled", name="org.freedesktop.PolicyKit1.Error.Cancelled"))


@dbus.service.method(MOCK, in_signature="b", out_signature="")
def AllowUnknown(self, default):
    self.allow_unknown = default


@dbus.service.method(MOCK, in_signature="as", out_signature="")
def SetAllowed(self, actions):
    self.allowed = actions


@dbus.service.method(MOCK, in_signature="b", out_signature="")
def SimulateHang(self, hang):
    self.simulate_hang = hang


@dbus.service.method(MOCK, in_signature="", out_signature="")
def ReleaseHangingCalls(self):
    questions, self.hanging_questions = self.hanging_questions, {}
    for ok, _err, answer in questions.values():
        ok(answer)


@dbus.service.method(MOCK, in_signature="", out_signature="b")
def HaveHangingCalls(self):
    return bool(self.hanging_questions)
