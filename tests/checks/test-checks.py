#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows that the checks can fail: each breakage of a copy of the tree must cause the given complaint."""

import contextlib
import functools
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import source

CHECKS = Path(__file__).resolve().parent
NEW_LAYERS = "layers-new" if (CHECKS / "layers-new.py").exists() else "layers"
ROOT = CHECKS.parent.parent
FOLDERS = ["daemon", "dbus", "drivers-glue", "policy", "cli", "systemd", "man", "examples"]
INTROSPECT = None  # the program, from the command line

# check, file, regular expression for the replaced text, new text, complaint
BREAKAGES = [
    ("catalog", "systemd/vgpud.catalog", r"^-- .{8}", "-- 00000000", "no entry for VGPUD_MESSAGE_"),
    ("catalog", "systemd/vgpud.catalog", r"^-- .{8}", "-- 00000000", "is no id of log-ids.h"),
    ("catalog", "systemd/vgpud.catalog", r"\Z", "\n-- 1\nSubject: x\n\nx\n", "1 is no id of log-ids.h"),
    ("catalog", "systemd/vgpud.catalog", r"^Subject: .*$", "Subject:", "has no subject or no text"),
    ("catalog", "systemd/vgpud.catalog", r"@VGPUD_GPU@", "@VGPUD_CARD@", "there is no field VGPUD_CARD"),
    ("catalog", "systemd/vgpud.catalog", None, None, "systemd/vgpud.catalog is missing"),
    ("catalog", "daemon/base/log-ids.h", r"\Z", '#define VGPUD_MESSAGE_X "0123456789abcdef0123456789abcdef"\n', "nothing logs VGPUD_MESSAGE_X"),
    ("catalog", "daemon/base/log-ids.h", r'"[0-9a-f]{32}"', '"123"', "is not 32 hexadecimal digits"),
    ("spdx", "dbus/bus.c", r"SPDX", "XDPS", "dbus/bus.c: 'SPDX-License-Identifier"),
    ("spdx", "policy/org.vgpud1.rules.example", r"LGPL-2.1-or-later", "MIT", "rules.example: 'SPDX-License-Identifier"),
    ("actions", "policy/org.vgpud1.policy", r"org.vgpud1.create", "org.vgpud1.make", "org.vgpud1.policy: no action org.vgpud1.create"),
    ("actions", "policy/org.vgpud1.policy", r"org.vgpud1.create", "org.vgpud1.make", "org.vgpud1.make is not in actions.def"),
    ("actions", "policy/org.vgpud1.policy", r">auth_admin<", ">yes<", "allow_any is not 'auth_admin' as in actions.def"),
    ("actions", "policy/org.vgpud1.policy", r"Create virtual", "Take virtual", "description is not 'Create virtual GPUs'"),
    ("actions", "policy/actions.def", r"type \$\(type\)", "type $(colour)", "a message has $(colour), which polkit is never told"),
    ("actions", "policy/actions.def", r"\Z", 'VGPUD_ACTION(X, "org.vgpud1.x", "no", "no", "no", "x", "x")\n', "no method asks for org.vgpud1.x"),
    ("actions", "policy/actions.def", r"\Z", 'VGPUD_ACTION(X, "org.vgpud1.x", "no", "no", "no", "x", "x")\n', "dbus/ never asks for POLKIT_X"),
    ("actions", "policy/org.vgpud1.rules.example", r'action.id == "org.vgpud1.create"', 'action.id == "org.vgpud1.make"', "there is no action org.vgpud1.make"),
    ("actions", "policy/org.vgpud1.rules.example", r'lookup\("type"\)', 'lookup("kind")', "it looks up kind"),
    ("actions", "dbus/bus-instance.c", r'"mine",', '"own",', "own is only in its comment or only in dbus/"),
    ("actions", "dbus/org.vgpud1.Gpu.xml", r'value="org.vgpud1.rescan"', 'value="org.vgpud1.scan"', "org.vgpud1.scan is not in actions.def"),
    ("actions", "dbus/org.vgpud1.Manager.xml", r' *<annotation name="org.vgpud1.Action" value="none"/>\n', "", "GetDefinition: no annotation org.vgpud1.Action"),
    ("actions", "dbus/org.vgpud1.Instance.xml", r'access="read"', 'access="readwrite"', "Uuid: a property must be read-only"),
    ("actions", "dbus/org.vgpud1.conf", r"org.vgpud1.Job", "org.vgpud1.Jobs", "no rule allows calls to org.vgpud1.Job"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r'name="VendorId" type="q"', 'name="VendorId" type="u"', "org.vgpud1.Gpu.VendorId: property in the XML"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r'value="const"', 'value="true"', "org.vgpud1.Gpu.Name: property in the XML"),
    ("api", "dbus/org.vgpud1.Gpu.xml", r' *<property name="Stale".*\n.*\n *</property>\n', "", "org.vgpud1.Gpu.Stale: property in the XML is None"),
    ("api", "dbus/org.vgpud1.Job.xml", r'name="Cancel"', 'name="Stop"', "no comment that begins with 'Stop:'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"Requester", "Asker", "no comment that begins with 'Requester:'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"Since: 0.1 -->", "-->", "does not end with 'Since: VERSION'"),
    ("api", "dbus/org.vgpud1.Job.xml", r"<!-- Id: [^.]*\. ", "<!-- Id: ", "Id: the text is missing"),
    ("api", "dbus/org.vgpud1.Manager.xml", r"@type: ", "@kind: ", "Create: the described arguments or their order differ"),
    ("api", "dbus/org.vgpud1.Manager.xml", r'direction="out"/>', 'direction="in"/>', "org.vgpud1.Manager.Create: method in the XML"),
    ("api", "dbus/org.vgpud1.Manager.xml", r'arg name="result"', 'arg name="outcome"', "JobRemoved: the described arguments"),
    ("api", "dbus/org.vgpud1.Manager.xml", r"- count \(u\)", "- count (t)", "org.vgpud1.Manager.Create: options described"),
    ("config", "man/vgpud.conf.5.rst", r"^\*spare=", "*spares=", "man/vgpud.conf.5.rst: [gpu] spare= is missing"),
    ("config", "examples/vgpud.conf", r"^#strategy=", "#strategies=", "daemon/store/config.c has no [placement] strategies="),
    ("config", "daemon/store/config.h", r"^ \*     per-gpu=.*\n", "", "daemon/store/config.h: [jobs] per-gpu= is missing"),
    ("config", "man/vgpud.conf.5.rst", r"\*1\* to \*65536\*\. Root", "Root", "[jobs] per-user= does not say"),
    ("config", "daemon/store/config.c", r'jobs_per_gpu\), "1", "65536"', "jobs_per_gpu)", "[jobs] per-gpu= has no range"),
    ("config", "daemon/store/config.c", r'"forbid", config_set_types', '"avoid", config_set_types', "man/vgpud.conf.5.rst: [gpu] avoid= is missing"),
    ("hints", "daemon/base/hint.h", r'X\(SEE_HELP, ', 'X(SEE_HELPS, ', "the id of SEE_HELPS is see-help"),
    ("hints", "daemon/base/hint.h", r'X\(TRY_AGAIN, "try-again"', 'X(SEE_HELP, "see-help"', "two rows have the id see-help"),
    ("hints", "daemon/base/hint.h", r'X\(TRY_AGAIN, "try-again"', 'X(TRY_LATER, "try-later"', "nothing gives try-later"),
    ("hints", "daemon/base/hint.h", r'X\(SEE_HELP, "see-help"', 'X(SEE_BOOK, "see-book"', "nothing gives see-book"),
    ("hints", "daemon/base/hint.h", r'X\(TRY_AGAIN, "try-again"', 'X(CHECK_SSH, "check-ssh"', "vgpuctl alone gives check-ssh"),
    ("hints", "daemon/base/hint.h", r'X\(SEE_HELP, "see-help"', 'X(TRY_AGAIN, "try-again"', "so it is no hint of vgpuctl alone"),
    ("hints", "daemon/base/hint.h", r"VGPUD_CLIENT_HINTS", "VGPUD_OTHER_HINTS", "there is no table VGPUD_CLIENT_HINTS"),
    ("api", "dbus/bus-instance.c", r'"foreign", "b"', '"alien", "b"', "org.vgpud1.Instance.Destroy: options described"),
]  # fmt: skip

OWNER = """#include "daemon/work/a.h"
void a_run(Gpu *gpu, Instance *instance, Model *model)
{
        %s;
}
"""
MODEL = """#pragma once
struct Gpu {
        Job *current;
        GQueue waiting;
};
struct Instance {
        Job *job;
};
struct Model {
        GHashTable *instances, *%s; /* jobs; */
};
"""
SMALL = {  # a tree that passes house.py and prose.py
    "daemon/model/model.h": MODEL % "jobs",
    "daemon/work/a.h": "#pragma once\nvoid a_run(Gpu *gpu, Instance *instance, Model *model);\n",
    "daemon/work/a.c": OWNER % "gpu_free(gpu)",
    "drivers-glue/vf/count.h": "#pragma once\n/* Unbind the VFs first. Enable the IOMMU: intel_iommu=on on Intel. */\n",
}
COMMENT = "/* %s */\n"
ONE_WORD = "".join(f"static void {name}(void)\n{{\n}}\n" for name in "abcdefghij")
TABLE = "<!-- measure.py: begin -->\n| a |\n| --- |\n| idioms | 1 | 2 | %s |\n<!-- measure.py: end -->\n"
TEXTS = 'log("the GPU went away");\nlog("GPU %s is not ready at %u: %s: input/output error", gpu, n, "b");\n'

# check, files beside those of SMALL, complaint; None: the check passes
MADE_UP = [
    ("house", {}, None),
    ("house", {"daemon/work/a.c": OWNER % "gpu->current = NULL"}, "a.c:4: writes Gpu.current, which only daemon/work/queue.c"),
    ("house", {"daemon/work/a.c": OWNER % "instance->job = NULL"}, "writes Instance.job"),
    ("house", {"daemon/model/model.h": MODEL % "works"}, "house.py: the struct Model has no field jobs"),
    ("house", {"daemon/work/a.c": OWNER % "g_queue_push_tail(&gpu->waiting, NULL)"}, "writes Gpu.waiting"),
    ("house", {"daemon/work/a.c": OWNER % "instance->job->gpu->current = NULL",
               "daemon/work/job.h": "#pragma once\nstruct Job { Gpu *gpu; };\n"}, "writes Gpu.current"),
    ("house", {"daemon/work/a.c": OWNER % "g_hash_table_remove(model->jobs, NULL)"}, "writes Model.jobs"),
    ("house", {"daemon/work/a.c": OWNER % "model->jobs = NULL"}, "writes Model.jobs"),
    ("house", {"daemon/work/a.c": OWNER % "g_hash_table_unref(model->jobs)"}, "writes Model.jobs"),
    ("house", {"daemon/work/a.c": OWNER % "g_hash_table_destroy(model->jobs)"}, "writes Model.jobs"),
    ("house", {"daemon/model/model.c": "static void model_free(Model *m)\n{\n        g_hash_table_unref(m->jobs);\n}\n"}, None),
    ("house", {"daemon/model/model.c": "static void model_drop(Model *m)\n{\n        g_hash_table_unref(m->jobs);\n}\n"}, "writes Model.jobs"),
    ("house", {"daemon/model/model.c": "static void model_free(Model *m)\n{\n        g_hash_table_insert(m->jobs, m, m);\n}\n"}, "writes Model.jobs"),
    ("house", {"daemon/work/a.c": OWNER % "g_clear_pointer(&gpu->current, job_unref)"}, "writes Gpu.current"),
    ("house", {"daemon/work/a.c": OWNER % "if (gpu->current == NULL) gpu->current->count = 1"}, None),
    ("house", {"daemon/work/a.c": OWNER % "g_hash_table_lookup(model->jobs, g_queue_peek_head(&gpu->waiting))"}, None),
    ("house", {"daemon/work/queue.c": "static void queue_take(Gpu *gpu)\n{\n        gpu->current = NULL;\n}\n"}, None),
    ("house", {"daemon/work/a.c": OWNER % 'log("one "\n"message")'}, "a.c:5: a string literal broken over lines"),
    ("house", {"daemon/work/a.c": OWNER % 'log("%" PRIu32\n" of them")'}, None),
    ("house", {"daemon/work/a.c": OWNER % 'puts("a line\\n"\n"and a line\\n")'}, None),
    ("house", {"daemon/work/a.c": OWNER % "" + "/* one line more */\n" * 696}, "daemon/work/a.c: 701 lines, more than 700"),
    ("house", {"daemon/work/a.c": OWNER % "" + "/* one line more */\n" * 695}, None),
    ("house", {f"daemon/work/b{i}.c": "" for i in range(12)}, "daemon/work: 13 .c files, more than 12"),
    ("house", {f"cli/verbs/b{i}.c": "" for i in range(13)}, None),
    ("house", {"daemon/work/b.h": "#pragma once\nvoid a_run(Gpu *gpu);\n"}, "a_run() is declared in daemon/work/b.h"),
    ("house", {"daemon/work/b.c": "int b_run(void)\n{\n}\n"}, "b.c:1: b_run() is neither static nor declared"),
    ("house", {"daemon/work/b.c": "DEFINE_STRING_TABLE_TO_STRING(b, B)\n"}, "b_to_string() is neither static nor declared"),
    ("house", {"daemon/work/work-private.h": "#pragma once\n"}, "work-private.h: a second header of a module"),
    ("house", {"daemon/work/b.h": "/* ---- in the lane ---- */\n"}, None),
    ("house", {"daemon/work/b.h": "\n/* --- in the lane --- */\n"}, "b.h:2: a section mark has the form"),
    ("house", {"daemon/work/b.h": "/* ---- In the lane. ---- */\n"}, "b.h:1: a section mark has the form"),
    ("house", {"daemon/work/b.h": "/* ==== lane ==== */\n"}, "b.h:1: a section mark has the form"),
    ("house", {"daemon/work/b.h": "int b(VgpudError *error);\n"}, "b(): call the error parameter reterr, not error"),
    ("house", {"daemon/work/b.h": "int b(VgpudError *ret_error);\n"}, "b(): call the error parameter reterr, not ret_error"),
    ("house", {"daemon/work/b.h": "int b(int a, const VgpudError *error);\n"}, None),
    ("house", {"daemon/work/b.h": "int b(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);\n"}, None),
    ("house", {"dbus/b.h": "int b(sd_bus_message *m, sd_bus_error *error);\n"}, "call the error parameter ret_error, not error"),
    ("house", {"drivers-glue/vf/count.h": "/* gim fixes the number. */\n"}, "count.h:1: the vendor name 'gim' in drivers-glue/vf"),
    ("house", {"drivers-glue/vf/count.h": "enum { GPU_NVIDIA };\n"}, "the vendor name 'nvidia' in drivers-glue/vf"),
    ("house", {"drivers-glue/vfio/use.h": "\n#define ID 0x10DE\n"}, "use.h:2: the vendor name '0x10de' in drivers-glue/vfio"),
    ("house", {"drivers-glue/amd/gim.h": "/* gim fixes the number. */\n"}, None),
    ("prose", {}, None),
    ("prose", {"daemon/b.h": COMMENT % "Skip the VF: somebody opened the\n * node, and nobody\n * closed it."}, "daemon/b.h:2: idiom \"nobody\""),
    ("prose", {"daemon/b.h": COMMENT % "Skip the VF: somebody opened the node, and nobody closed it."}, "daemon: 1818.2 idioms per 10 000 words"),
    ("prose", {"daemon/b.c": 'log("%s shows what\\n is there", "whoever it was");\n'}, "b.c:1: idiom \"whoever\""),
    ("prose", {"dbus/b.xml": "<node>\n<!-- Stop: what is made, and what\n was made. -->\n</node>\n"}, "dbus/b.xml:2: idiom \"what was\""),
    ("prose", {"man/b.rst": "Use\n===\n\nShow what is there::\n\n  somebody\n\nand what was there.\n"}, "man/b.rst:8: idiom \"what was\""),
    ("prose", {"man/b.rst": "Use::\n\n  somebody nobody\n\nUse ``whoever``.\n"}, None),
    ("prose", {"README.md": "Show what is there,\nor what was.\n"}, "README.md:2: idiom \"what was\""),
    ("prose", {"README.md": "```\nwhat is there\nwhat is there\n```\n"}, None),
    ("prose", {"tests/unit/b.py": '"""Show what is there."""\n\nx = "what is"  # somebody\'s\n'}, "tests/unit/b.py:3: idiom \"somebody\""),
    ("prose", {"tests/unit/b.c": 'ask("somebody", "nobody", "what is it");\n'}, None),
    ("prose", {"daemon/b.h": COMMENT % "Of one." + COMMENT % "Which one." + "\n" + COMMENT % "It ends."}, "daemon/b.h:4: comment opens with \"It\""),
    ("prose", {"daemon/b.h": COMMENT % "Of one." + COMMENT % "Which one."}, None),
    ("prose", {"daemon/b.h": COMMENT % "A VF." * 60 + COMMENT % "Of one." + COMMENT % "Which one." + COMMENT % "It ends."}, None),
    ("prose", {"tests/unit/b.py": "# Of one.\n# Of two, the same comment.\n\n# Of three.\n\n# Of four.\n"}, "tests/unit: 100.0 % of comments open"),
    ("prose", {"daemon/b.h": COMMENT % ("Then it takes its slot " * 50)}, "daemon: 40.0 pronouns per 100 words of comment"),
    ("prose", {"daemon/b.h": COMMENT % ("Then the lane takes a slot " * 50)}, None),
    ("measure --check", {"daemon/work/b.c": 'static void set(void)\n{\n        log("a "\n            "b");\n}\n'}, "not met: string literals broken"),
    ("measure --check", {}, "not met: assertions per 1 000 lines"),
    ("measure --check", {"daemon/b.h": COMMENT % "Skip the VF: somebody opened the node."}, "not met: idioms"),
    ("measure --check", {"daemon/b.h": COMMENT % "Of one." + COMMENT % "Which one."}, "not met: comments that open with"),
    ("measure --check", {"daemon/b.h": COMMENT % "Then it takes its slot."}, "not met: pronouns per 100 words"),
    ("measure --check", {"daemon/work/b.c": "static void b(void)\n{\n        c();\n        d();\n}\n"}, "not met: blank lines"),
    ("measure --check", {"daemon/work/b.h": "void a_run(Gpu *gpu);\n", "daemon/work/a.h": ""}, "not met: extern functions"),
    ("measure --check", {f"daemon/work/b{i}.c": ONE_WORD for i in range(2)}, "not met: static functions' names that occur in several"),
    ("measure --check", {"daemon/work/b.c": ONE_WORD}, "not met: static functions' names of one word"),
    ("measure --check", {"HACKING.md": TABLE % "under 5"}, "HACKING.md: the table differs"),
    ("measure --check", {"HACKING.md": "# How\n"}, "HACKING.md has no table of measures"),
    ("words", {}, "the product has no texts"),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": 'ASSERT_STREQ(e.message, "the GPU went away");\n'}, "test-b.c:1: repeats the words \"the GPU went away\""),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": '{ EIO, "is GPU 7 the GPU went away" },\n'}, "repeats the words \"the GPU went away\""),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": 'A("is not ready at 0000:41:00.0");\n'}, "repeats the words \"is not ready at\""),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": 'A("now that it is not ready at a time of day");\n'}, "test-b.c:1: repeats the words"),
    ("words", {"daemon/b.c": TEXTS, "tests/integration/test-b.py": 'X = {"EIO": ("Failed", "not", "went", "GPU")}\n'}, None),
    ("words", {"daemon/b.c": TEXTS, "tests/integration/test-b.py": 'X = {"EIO": ("Failed", "went away")}\n'}, "test-b.py:1: repeats the words \"went away\""),
    ("words", {"daemon/b.c": TEXTS, "tests/integration/test-b.py": 'h.await_log(f"{gpu} {n} is not ready at {n}")\n'}, "test-b.py:1: repeats the words"),
    ("words", {"daemon/b.c": TEXTS, "tests/vm/cases/b.py": 'self.assertIn("the GPU went away", text)\n'}, "b.py:1: repeats the words"),
    ("words", {"daemon/b.c": TEXTS, "tests/vm/cases/b.py": 'self.assertTrue(x, "the GPU went away")\nwait(f, "the GPU went away")\n'}, None),
    ("words", {"daemon/b.c": 'log("none of them is ready");\n', "tests/vm/cases/b.py": 'x = "of them"\n'}, None),
    ("words", {"daemon/b.c": 'log("none of them is ready");\n', "tests/vm/cases/b.py": 'x = "is ready"\n'}, "repeats the words \"is ready\""),
    ("words", {"daemon/b.c": TEXTS, "tests/vm/cases/b.py": 'def f():\n    """the GPU went away"""\n'}, None),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": 'FAIL("the GPU went away");\n/* "the GPU went away" */\n'}, None),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/test-b.c": 'A("Input/output error", "<a b=\'the GPU went away\'>", "mdpy");\n'}, None),
    ("words", {"daemon/b.c": TEXTS, "tests/unit/fake-b.c": 'A("the GPU went away");\n', "tests/simhost/b.c": 'A("the GPU went away");\n'}, None),
]  # fmt: skip

# For layers.py: files that are changed in a tree with one file in each folder (None: removed), and the complaint (None: the
# check passes).
LAYERED = [
    ({}, None),
    ({"daemon/model/x.c": '#include "daemon/store/x.h"\n#include "base/x.h"\n#include "daemon/model/x.h"\n'}, "must be the first"),
    ({"daemon/model/b.c": '#include "daemon/store/x.h"\n#include "base/x.h"\n#include "daemon/model/x.h"\n'}, None),
    ({"daemon/model/b.c": '\n#include "daemon/work/x.h"\n'}, 'b.c:2: "daemon/work/x.h" is not below daemon/model'),
    ({"daemon/store/b.c": '#include "daemon/model/x.h"\n'}, '"daemon/model/x.h" is not below daemon/store'),
    ({"daemon/work/b.c": '#include "daemon/x.h"\n'}, '"daemon/x.h" is not below daemon/work'),
    ({"daemon/work/b.c": '#include "daemon/forward.h"\n', "daemon/forward.h": "#pragma once\n"}, None),
    ({"daemon/requests/b.c": '#include "dbus/x.h"\n'}, '"dbus/x.h" is not below daemon/requests'),
    ({"daemon/base/b.c": '#include "daemon/model/x.h"\n'}, '"daemon/model/x.h" is not below daemon/base'),
    ({"daemon/b.c": '#include "dbus/x.h"\n'}, '"dbus/x.h" is not below daemon, which'),
    ({"daemon/main.c": '#include "dbus/x.h"\n#include <systemd/sd-bus.h>\n'}, None),
    ({"daemon/model/b.c": '#include "drivers-glue/mdev/x.h"\n'}, '"drivers-glue/mdev/x.h" is not below daemon/model'),
    ({"drivers-glue/b.c": '#include "drivers-glue/vf/x.h"\n'}, '"drivers-glue/vf/x.h" is not below drivers-glue'),
    ({"drivers-glue/vfio/b.c": '#include "drivers-glue/vf/x.h"\n'}, '"drivers-glue/vf/x.h" is not below drivers-glue/vfio'),
    ({"drivers-glue/intel/b.c": '#include "drivers-glue/nvidia/x.h"\n'}, '"drivers-glue/nvidia/x.h" is not below drivers-glue/intel'),
    ({"drivers-glue/mdev/b.c": '#include "drivers-glue/nvidia/x.h"\n'}, None),
    ({"drivers-glue/sriov/b.c": '#include "drivers-glue/amd/x.h"\n'}, '"drivers-glue/amd/x.h" is not below drivers-glue/sriov'),
    ({"drivers-glue/amd/b.c": '#include "drivers-glue/sriov/provider.h"\n', "drivers-glue/sriov/provider.h": "#pragma once\n"}, None),
    ({"drivers-glue/amd/b.c": '#include "drivers-glue/sriov/x.h"\n'}, '"drivers-glue/sriov/x.h" is not below drivers-glue/amd'),
    ({"cli/output/b.c": '#include "cli/host/x.h"\n'}, '"cli/host/x.h" is not below cli/output'),
    ({"cli/b.c": '#include "dbus/x.h"\n'}, '"dbus/x.h" is not below cli'),
    ({"cli/b.c": '#include "daemon/work/x.h"\n'}, '"daemon/work/x.h" is not below cli'),
    ({"policy/b.c": "#include <systemd/sd-event.h>\n"}, "<systemd/sd-event.h> is not for policy"),
    ({"daemon/b.c": "#include <systemd/sd-bus.h>\n"}, "<systemd/sd-bus.h> is not for daemon"),
    ({"drivers-glue/io/b.c": "#include <libudev.h>\n"}, "<libudev.h> is not for drivers-glue/io"),
    ({"dbus/b.c": "#  include  <gio/gio.h>\n"}, "<gio/gio.h> is not for dbus"),
    ({"daemon/model/b.c": "#include <json-glib/json-glib.h>\n"}, "<json-glib/json-glib.h> is not for daemon/model"),
    ({"dbus/b.c": '#include "dbus/no.h"\n'}, '"dbus/no.h" must be named from the top'),
    ({"dbus/b.c": '#include "x.h"\n'}, '"x.h" must be named from the top'),
    ({"dbus/b.c": "#include HEADER\n"}, "an #include must name its file"),
    ({"dbus/b.h": ""}, "dbus/b.h: no #pragma once"),
    ({"daemon/new/b.h": "#pragma once\n"}, "layers.py has no rule for the folder daemon/new"),
    ({"daemon/store/x.h": None}, "layers.py: there is no folder daemon/store"),
    ({"daemon/main.c": None}, "layers.py: there is no file daemon/main.c"),
]  # fmt: skip


@functools.lru_cache(maxsize=None)
def load(check):
    """The check as a module."""
    spec = importlib.util.spec_from_file_location(check.replace("-", "_"), CHECKS / f"{check}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MadeUp(unittest.TestCase):
    """Trees that were made up for the test."""

    def run_check(self, check, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                if text is not None:
                    path = Path(folder) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            name, *arguments = check.split()
            output = io.StringIO()
            # starting Python a hundred times would take longer than the checks
            with mock.patch("sys.argv", [name, "--root", folder, *arguments]), contextlib.redirect_stdout(output):
                try:
                    load(name).main()
                    status = 0
                except SystemExit as e:
                    status = e.code
        return status, output.getvalue()

    def assert_result(self, result, complaint):
        if complaint is None:
            self.assertEqual(result, (0, ""))
        else:
            self.assertIn(complaint, result[1])
            self.assertEqual(result[0], 1)

    def test_made_up(self):
        for check, files, complaint in MADE_UP:
            with self.subTest(f"{check}: {files}"):
                self.assert_result(self.run_check(check, {**SMALL, **files}), complaint)

    def test_layers(self):
        module = load(NEW_LAYERS)
        tree = {f"{folder}/x.h": "#pragma once\n" for folder in module.LAYERS}
        tree.update({name: "" for name in module.EXCEPTIONS})
        for files, complaint in LAYERED:
            with self.subTest(f"{files}"):
                self.assert_result(self.run_check(NEW_LAYERS, {**tree, **files}), complaint)

    def test_table_of_layers(self):
        module = load(NEW_LAYERS)
        files = [Path(folder) / "x.h" for folder in module.LAYERS] + [Path(name) for name in module.EXCEPTIONS]
        self.assertEqual(list(module.check_table(files)), [])
        with mock.patch.dict(module.LAYERS, {"daemon/store": (["daemon/work"], [])}):
            complaint = "layers.py: daemon/store uses daemon/work, which is not below it"
            self.assertEqual(list(module.check_table(files)), [complaint])
        with mock.patch.dict(module.EXCEPTIONS, {"daemon/main.c": ([], [], "")}):
            complaint = "layers.py: the exception for daemon/main.c has no reason"
            self.assertEqual(list(module.check_table(files)), [complaint])

    def test_prose_lists(self):
        files = {**SMALL, "daemon/b.h": COMMENT % "Skip the VF that nobody has."}
        expected = ["daemon/b.h:1: comment has 2 pronouns in 6 words (that, nobody)\n", 'daemon/b.h:1: idiom "nobody": name the thing\n']
        self.assertEqual(self.run_check("prose --list", files), (0, "".join(expected)))

    def test_table_of_measures(self):
        status, table = self.run_check("measure --markdown", SMALL)
        self.assertEqual(status, 0)
        self.assertIn("| measure | before | now | target |\n| --- | --- | --- | --- |\n", table)
        self.assertIn("| assertions per 1 000 lines | 0.7 | 0.0 | 10 or more |", table)
        self.assertIn("| commit subjects, median / p90 characters | 65 / 91 | - | under 50 / 72 |", table)

    def test_redundant_assertions(self):
        count = load("measure").count_assertions
        self.assertEqual(count("g_assert(a);\n\n        b = a->c;\ng_assert(a->c);\nassert_se(b);\nc(a);\n"), 2)
        self.assertEqual(count("g_assert(a != NULL);\n*a = 1;\n"), 0)

    def test_subjects(self):
        """Long subjects fail, and so does a clone that lacks the first commit."""
        module = load("measure")
        test = next(row[4] for row in module.ROWS if row[0].startswith("commit subjects"))
        with tempfile.TemporaryDirectory() as folder:
            def git(*words):
                command = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
                return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

            self.assertIsNone(module.subjects(Path(folder)))
            git("init", "-q")
            git("commit", "-q", "--allow-empty", "-m", "the first")
            self.assertFalse(test(module.subjects(Path(folder))))
            with mock.patch.object(module, "BASE", git("rev-parse", "HEAD")):
                self.assertIsNone(module.subjects(Path(folder)))
                git("commit", "-q", "--allow-empty", "-m", "x" * 49)
                self.assertTrue(test(module.subjects(Path(folder))))
                git("commit", "-q", "--allow-empty", "-m", "x" * 80)
                self.assertEqual(module.subjects(Path(folder)), (64.5, 80))
                self.assertFalse(test(module.subjects(Path(folder))))


class Parser(unittest.TestCase):
    def test_functions(self):
        text = (
            "_printf_(1, 2) int a(const char *format, ...);\nextern int table[];\ntypedef int (*F)(int);\n"
            "static const S s = { .f = (F)a };\nDEFINE_TABLE(x)\nint b(int (*f)(int), int n)\n{\n"
            "        return '}' + f(n); /* } */\n}\nstatic inline G *c(void)\n{\n#if X\n        if (x) {\n#else\n"
            '        if (y) {\n#endif\n                log("}");\n        }\n}\nstruct S {\n        int (*g)(void);\n};\n'
            "void d(void) __attribute__((cold));\n"
        )
        functions, prototypes = source.declarations(text)
        found = [(f.name, f.static, f.first, f.last) for f in functions]
        self.assertEqual(found, [("b", False, 7, 9), ("c", True, 11, 19)])
        self.assertEqual([p.name for p in prototypes], ["a", "d"])
        names = [[t.text for t in parameter] for parameter in source.parameters(functions[0].head)]
        self.assertEqual(names, [["int", "(", "*", "f", ")", "(", "int", ")"], ["int", "n"]])

    def test_blank_lines(self):
        self.assertEqual(source.blank_lines("\nint a(void)\n{\n        b();\n\n        c();\n        d();\n}\n\n"), (1, 4))

    def test_literals(self):
        self.assertEqual(list(source.broken_literals('a("b" "c");\nx("e"\n"f" PRIu32\n"g", "h",\n"i");\n')), [3])
        self.assertEqual(list(source.broken_literals('/* "a"\n"b" */ x("\\"" /* why */\n"c");\n')), [3])

    def test_texts(self):
        def found(name, text):
            return [(t.line, t.kind, " ".join(t.text.split())) for t in source.texts(Path(name), text)]

        text = '#include "a.h"\n/* One\n * two. */\nf("%d words\\n" /* three */, "x");\n/* ---- mark ---- */\n'
        expected = [(2, "comment", "One two."), (4, "comment", "three"), (4, "string", "words"), (4, "string", "x")]
        self.assertEqual(found("a.c", text), expected)
        text = '#!/usr/bin/python3\n"""Doc."""\nx = f("text")  # one\n\n# two\n# three\ny = 1\n'
        expected = [(2, "comment", "Doc."), (3, "string", "text"), (3, "comment", "one")]
        self.assertEqual(sorted(found("a.py", text)), sorted(expected + [(5, "comment", "two three")]))
        self.assertEqual(found("run", "#!/bin/sh\n# somebody\n"), [])
        self.assertEqual(found("a.py", "x = (\n"), [])


class Faults(unittest.TestCase):
    """The table of tests/faults.py fails unless each of its tests ran and passed."""

    TABLE = "# a comment\nA1 a long call\n  unit/x test_a\n  cli/y Long\nB2 a flood\n  bus/z /z/flood\n"
    RESULTS = {
        "unit / x": "passed  test_a\n",
        "cli / y": "test_one (__main__.Long.test_one)\nThe docstring ... ok\ntest_two (__main__.Long) ... ok\n",
        "bus / z": "ok 1 /z/flood\n",
    }

    def judge(self, **changes):
        faults = load("../faults")
        with tempfile.TemporaryDirectory() as folder:
            table, log = Path(folder) / "table", Path(folder) / "log"
            table.write_text(self.TABLE)
            results = {**self.RESULTS, **{name.replace("_", " / "): text for name, text in changes.items()}}
            log.write_text("".join(json.dumps({"name": f"vgpud:{name}", "stdout": text}) + "\n" for name, text in results.items()))
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                good = faults.show(log, table)
        self.assertEqual(len(output.getvalue().splitlines()), 2)
        return good

    def test_all_passed(self):
        self.assertTrue(self.judge())

    def test_failed(self):
        for change in ({"unit_x": "FAILED  test_a\n"}, {"bus_z": "not ok 1 /z/flood\n"},
                       {"cli_y": "test_one (__main__.Long) ... ok\ntest_two (__main__.Long) ... FAIL\n"}):
            with self.subTest(change):
                self.assertFalse(self.judge(**change))

    def test_did_not_run(self):
        for program in ("unit_x", "cli_y", "bus_z"):
            with self.subTest(program):
                self.assertFalse(self.judge(**{program: ""}))


class Breakages(unittest.TestCase):
    def run_check(self, check, tree):
        name = {"actions": "actions-in-step", "api": "api-in-step", "config": "config-in-step", "hints": "hints-in-step"}.get(check, check)
        command = [sys.executable, CHECKS / f"{name}.py", "--root", tree]
        if check in ("api", "api-golden", "actions"):
            command.append(self.introspection)
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.stderr, "")
        return result.returncode, result.stdout

    def copy(self, folder):
        tree = Path(folder) / "tree"
        for name in FOLDERS:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        (tree / "tests/checks").mkdir(parents=True)
        shutil.copy(CHECKS / "api-golden.txt", tree / "tests/checks")
        return tree

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.introspection = Path(self.folder.name) / "introspection.xml"
        self.introspection.write_text(subprocess.run([INTROSPECT], check=True, stdout=subprocess.PIPE, text=True).stdout)

    def test_whole(self):
        tree = self.copy(self.folder.name)
        for check in ("layers", "catalog", "spdx", "actions", "config", "hints", "api", "api-golden"):
            with self.subTest(check):
                self.assertEqual(self.run_check(check, tree), (0, ""))

    def test_broken(self):
        tree = self.copy(self.folder.name)
        for check, file, old, new, complaint in BREAKAGES:
            with self.subTest(f"{check}: {file}: {new}"):
                whole = (tree / file).read_text()
                if old is None:
                    (tree / file).unlink()
                else:
                    broken, n = re.subn(old, lambda match: new, whole, count=1, flags=re.M)
                    self.assertEqual(n, 1, "there is nothing to break")
                    (tree / file).write_text(broken)
                status, output = self.run_check(check, tree)
                (tree / file).write_text(whole)
                self.assertEqual(status, 1)
                self.assertIn(complaint, output)

    def test_action_of_the_daemon_only(self):
        tree = self.copy(self.folder.name)
        self.introspection.write_text(self.introspection.read_text().replace('name="org.vgpud1.rescan"', 'name="org.vgpud1.scan"'))
        complaints = self.run_check("actions", tree)[1]
        self.assertIn("org.vgpud1.Gpu.Rescan: org.vgpud1.rescan is in the XML, not in the property", complaints)
        self.assertIn("org.vgpud1.Gpu.Rescan: org.vgpud1.scan is in the property Actions, not in the XML", complaints)

    def test_member_of_the_daemon_only(self):
        tree = self.copy(self.folder.name)
        text = self.introspection.read_text()
        self.introspection.write_text(text.replace("Rescan", "Scan"))
        self.assertIn("org.vgpud1.Gpu.Scan: method in the XML is None", self.run_check("api", tree)[1])
        self.assertIn("gone or changed: org.vgpud1.Gpu method Rescan ", self.run_check("api-golden", tree)[1])
        self.assertIn("not in the file: org.vgpud1.Gpu method Scan ", self.run_check("api-golden", tree)[1])
        self.introspection.write_text(text.replace("org.vgpud1.Job", "org.vgpud1.Task"))
        self.assertIn("org.vgpud1.Task: in the daemon, not in the XML", self.run_check("api", tree)[1])


if __name__ == "__main__":
    INTROSPECT = sys.argv.pop(1)
    unittest.main()
