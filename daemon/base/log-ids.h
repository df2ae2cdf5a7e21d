/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One MESSAGE_ID per event that an administrator may look for. tests/checks/catalog.py compares the list with
 * systemd/vgpud.catalog. Create ids with `systemd-id128 new`; never change or reuse one. */

#define VGPUD_MESSAGE_INSTANCE_CREATED   "70150578a9b843f090c75de5ee86ac7c"
#define VGPUD_MESSAGE_INSTANCE_DESTROYED "bbe5d52618054bc78359866fb07d26ad"
#define VGPUD_MESSAGE_INSTANCE_GONE      "b58e2f8809c8408684007a6fdc667e25"
#define VGPUD_MESSAGE_INSTANCE_FOREIGN   "3c1eed5f4b224169b5a6f37050bea4c7"
#define VGPUD_MESSAGE_INSTANCE_UNPROVEN  "f796ffc98822457aa0a37a388df8fb1e"
#define VGPUD_MESSAGE_INSTANCE_UNDONE    "40467019ae8041318cdfaa5700d933c7"
#define VGPUD_MESSAGE_JOB_FAILED         "fdfcaed3e3ac4efbb83df305f5df0972"
#define VGPUD_MESSAGE_GPU_STUCK          "ca1b0b1d846043f1b5242963aac37478"
#define VGPUD_MESSAGE_GPU_RECOVERED      "496c18e98a404e85a51f2cd20eb81cd6"
#define VGPUD_MESSAGE_GPU_UNSUPPORTED    "2fdf5a52af9a4e45ab3ff6b65c27f31a"
#define VGPUD_MESSAGE_VFS_SET            "d7d69ce9e322407d9acf452dc912b4bd"
#define VGPUD_MESSAGE_MODE_SET           "58bf7f64b98b497baa74822c54b7c7b2"
#define VGPUD_MESSAGE_TYPE_CHANGED       "eda64f200e794e8facda3edc7e0ace83"
#define VGPUD_MESSAGE_EVENTS_LOST        "ba084163c941464581c2580acd4c0e11"
#define VGPUD_MESSAGE_CONFIG_IGNORED     "0998f00a943c4945bbe67621c5b2a474"
#define VGPUD_MESSAGE_CONFIG_UNMATCHED   "05f13d23ade948c888593da31c57fe14"
#define VGPUD_MESSAGE_REFUSED            "ea069c9a78d24601a21b80ce5b6cf705"
#define VGPUD_MESSAGE_STARTED            "f4886e80b53345d0a217499683ca9bd7"
