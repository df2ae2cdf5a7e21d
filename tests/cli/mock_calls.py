# SPDX-License-Identifier: LGPL-2.1-or-later
"""Methods and errors of the mock of vgpud."""

import dbus
import dbus.exceptions
import dbus.lowlevel
import dbus.service


class Refusal(dbus.exceptions.DBusException):
    """An error of vgpud, with the details of the option error_details."""

    def __init__(self, name, message, **details):
        full = name if "." in name else f"org.vgpud1.Error.{name}"
        super().__init__(message, name=full)
        self.message = message
        self.details = details
        self.wanted = False  # True: the caller gave the option error_details


def reply_error(connection, message, exception):
    """Send an error, in place of the function in dbus.service, which knows no details."""
    name = getattr(exception, "get_dbus_name", lambda: None)() or f"org.example.Python.{type(exception).__name__}"
    text = getattr(exception, "message", str(exception))
    details = getattr(exception, "details", None)
    if details and not exception.wanted and "hint" in details:
        text += f"\nHint: {details['hint']}"
    answer = dbus.lowlevel.ErrorMessage(message, name, text)
    if details is not None and exception.wanted:
        answer.append(dbus.Dictionary(details, signature="sv"), signature="a{sv}")
    connection.send_message(answer)


dbus.service._method_reply_error = reply_error


def method(interface, in_signature, out_signature):
    return dbus.service.method(interface, in_signature=in_signature, out_signature=out_signature,
                               message_keyword="message", path_keyword="path")  # fmt: skip
