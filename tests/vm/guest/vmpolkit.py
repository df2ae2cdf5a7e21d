# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules of the real polkitd."""

import shutil

import vmcase

EXAMPLE = vmcase.Path("/usr/share/doc/vgpud/org.vgpud1.rules.example")
RULES = vmcase.Path("/etc/polkit-1/rules.d")


def allow(action, user="alice", **details):
    """The text of a rule that allows the action of the user if all details match."""
    conditions = [f'action.id == "{action}"', f'subject.user == "{user}"']
    conditions += [f'action.lookup("{key}") == "{value}"' for key, value in details.items()]
    return (
        "polkit.addRule(function(action, subject) {"
        f" if ({' && '.join(conditions)}) return polkit.Result.YES; }});\n"
    )


class Rules:
    """A mix-in of vmcase.VgpudCase."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.polkit = cls.enterClassContext(vmcase.Bus("org.freedesktop.PolicyKit1")).listen()

    def rule(self, name, text=None):
        """Adds a file of rules (without a text: the example) until the test ends, and waits for polkitd."""
        path = RULES / name

        def changed(change, *args):
            self.polkit.forget()
            change(*args)
            self.polkit.wait(lambda signal: signal.member == "Changed")

        # Write the file elsewhere and rename it, so that polkitd never sees an incomplete file.
        source = vmcase.Path("/etc/polkit-1/new")
        if text is None:
            shutil.copy(EXAMPLE, source)
        else:
            source.write_text(text, encoding="utf-8")
        source.chmod(0o644)
        changed(source.rename, path)
        self.addCleanup(changed, path.unlink)
