/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An in-memory kernel behind VgpuIo: a tree of directories, attributes and links with the rules of io.h, device
 * nodes of VFIO, faults on demand, and a log of everything that was written. fake-gpus.h puts GPUs into it that
 * behave like the real ones. Any number of threads may use it. */

#include "drivers-glue/io/io.h"

typedef struct FakeKernel FakeKernel;

FakeKernel *fake_kernel_new(void);
FakeKernel *fake_kernel_free(FakeKernel *k);
/* Returns a new VgpuIo on the kernel; any number may exist. Free each one with vgpu_io_free() before the
 * kernel. */
VgpuIo *fake_kernel_io(FakeKernel *k);

/* The tree. Directories above a path are made as needed. The target of a link is a path below /sys; read as
 * a text, the link is relative, as in sysfs. A removal includes everything below the path. */
void fake_add_directory(FakeKernel *k, const char *path);
void fake_add_file(FakeKernel *k, const char *path, const char *text);
/* NVIDIA's vgpu_params: empty at first; the last byte of a write is dropped. */
void fake_add_parameters(FakeKernel *k, const char *path);
void fake_add_link(FakeKernel *k, const char *path, const char *target);
void fake_remove(FakeKernel *k, const char *path);
bool fake_exists(FakeKernel *k, const char *path);

/* An attribute with behaviour. Its functions are called with the kernel unlocked; show() returns an owned
 * text in *ret. */
typedef int (*FakeShow)(FakeKernel *k, const char *path, void *data, char **ret);
typedef int (*FakeStore)(FakeKernel *k, const char *path, void *data, const char *value);
void fake_add_attribute(FakeKernel *k, const char *path, FakeShow show, FakeStore store, void *data);

/* Device nodes of VFIO groups and cdevs: "vfio/12", "vfio/devices/vfio3". */
void fake_add_node(FakeKernel *k, const char *node);
void fake_remove_node(FakeKernel *k, const char *node);
/* A process has the node open, until a call with pid 0. */
void fake_hold_node(FakeKernel *k, const char *node, int pid, const char *command);
/* An invisible process has the node open. */
void fake_hold_node_invisibly(FakeKernel *k, const char *node);
/* From now on, the search for the holder of a node cannot examine all processes. */
void fake_deny_processes(FakeKernel *k);
/* True if a descriptor of open_group() is still open. */
bool fake_node_is_kept(FakeKernel *k, const char *node);
/* True if any process has the device open, so that a removal blocks. */
bool fake_node_is_held(FakeKernel *k, const char *node);

/* modules.alias: lines of "PATTERN MODULE". Without this call, the file does not exist. */
void fake_set_aliases(FakeKernel *k, const char *lines);

/* Definitions of mdevctl and libvirt: lines of "FUNCTION FILE". A line without a blank names a file that
 * cannot be read. */
void fake_set_definitions(FakeKernel *k, const char *lines);

/* A function in the place of a program: vgpu_io_run() calls it with the kernel unlocked, and returns its
 * result, the exit status or a negative errno. The caller owns *ret_output, which may stay NULL. A program
 * without a function does not exist (ENOENT). */
typedef int (*FakeProgram)(FakeKernel *k, const char *const *arguments, void *data, char **ret_output);
void fake_set_program(FakeKernel *k, VgpuProgram program, FakeProgram run, void *data);
/* Sets a function that each pause calls; the fake does not sleep. NULL: none. */
void fake_on_pause(FakeKernel *k, void (*paused)(FakeKernel *k, void *data), void *data);

/* Faults. op is "read", "write" (plain and guarded), "list", "link", "identify", "group" (with the number for a
 * path) or "run" (with the program's name for a path). The hook is called before the operation, with the kernel
 * unlocked; a negative result replaces the operation. */
typedef int (*FakeHook)(FakeKernel *k, const char *path, void *data);
void fake_before(FakeKernel *k, const char *op, const char *path, FakeHook hook, void *data);
void fake_fail(FakeKernel *k, const char *op, const char *path, int eno);
/* Do the operation, and return this errno all the same. */
void fake_fail_after(FakeKernel *k, const char *op, const char *path, int eno);
/* Block all callers of the operation until fake_release(). fake_wait_hanging() waits until one caller is
 * blocked. */
void fake_hang(FakeKernel *k, const char *op, const char *path);
void fake_wait_hanging(FakeKernel *k);
void fake_release(FakeKernel *k);
/* Remove all faults. */
void fake_heal(FakeKernel *k);

/* Returns every write so far, a line each: "write|guarded PATH = VALUE: ok|ERRNO", with " (keeping vfio/12)"
 * if a descriptor of that group was open during the write. Programs and pauses have lines "run systemctl|nvml
 * ARGUMENTS: STATUS|ERRNO" and "pause USEC". The caller frees the text. */
char *fake_writes(FakeKernel *k);
/* Number of operations so far: "read", "list", "link", "run", "pause". */
unsigned fake_count(FakeKernel *k, const char *op);
