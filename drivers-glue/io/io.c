/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rules for paths, and the code that all implementations of VgpuIo share. Implementations get valid paths
 * only. */

#include "drivers-glue/io/io.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"

#define NAME_SIZE_MAX 255U

/* Returns the size of the name at the beginning of the text, up to '/' or the end; 0: not valid. Sets
 * *ret_ascii to false if the caller must also check UTF-8. One pass checks length, control characters and
 * ASCII, because a scan checks a hundred thousand paths. */
static size_t io_check_name(const char *text, bool *ret_ascii)
{
        size_t n;

        for (n = 0; text[n] && text[n] != '/'; n++) {
                if (n == NAME_SIZE_MAX || g_ascii_iscntrl(text[n]))
                        return 0;
                if ((unsigned char)text[n] >= 0x80)
                        *ret_ascii = false;
        }

        if (text[0] == '.' && (n == 1 || (n == 2 && text[1] == '.')))
                return 0;

        return n;
}

bool vgpu_io_name_is_valid(const char *name)
{
        bool ascii = true;
        size_t n = name ? io_check_name(name, &ascii) : 0;

        return n > 0 && !name[n] && (ascii || g_utf8_validate(name, (gssize)n, NULL));
}

bool vgpu_io_path_is_valid(const char *path)
{
        bool ascii = true;
        size_t size = 0, n;

        if (!path)
                return false;

        for (;;) {
                n = io_check_name(path + size, &ascii);
                size += n;

                if (n == 0 || size > VGPU_IO_PATH_MAX)
                        return false;
                if (!path[size])
                        return ascii || g_utf8_validate(path, (gssize)size, NULL);

                size++;
        }
}

int vgpu_io_read(VgpuIo *io, const char *path, char **ret)
{
        return vgpu_io_path_is_valid(path) ? io->ops->read(io, path, ret) : -EINVAL;
}

static int _printf_(3, 0) vgpu_io_readv(VgpuIo *io, char **ret, const char *format, va_list ap)
{
        char path[VGPU_IO_PATH_MAX + 1];
        int n;

        g_assert(format[0] != '/');

        n = vsnprintf(path, sizeof(path), format, ap);
        if (n < 0 || (size_t)n >= sizeof(path))
                return -EINVAL;

        return vgpu_io_read(io, path, ret);
}

int vgpu_io_readf(VgpuIo *io, char **ret, const char *format, ...)
{
        va_list ap;
        int r;

        va_start(ap, format);
        r = vgpu_io_readv(io, ret, format, ap);
        va_end(ap);

        return r;
}

int vgpu_io_read_u32f(VgpuIo *io, uint32_t *ret, const char *format, ...)
{
        g_autofree char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vgpu_io_readv(io, &text, format, ap);
        va_end(ap);

        if (r < 0)
                return r;

        return parse_u32(text, 10, ret) < 0 ? -EBADMSG : 0;
}

static bool vgpu_io_value_is_valid(const char *value)
{
        size_t n = value ? strnlen(value, VGPU_IO_ATTR_MAX + 1) : 0;

        return n > 0 && n <= VGPU_IO_ATTR_MAX;
}

int vgpu_io_write(VgpuIo *io, const char *path, const char *value)
{
        return vgpu_io_path_is_valid(path) && vgpu_io_value_is_valid(value) ? io->ops->write(io, path, value)
                                                                            : -EINVAL;
}

int vgpu_io_write_guarded(VgpuIo *io, const char *path, const char *value)
{
        return vgpu_io_write_witnessed(io, path, value, NULL);
}

int vgpu_io_write_witnessed(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        g_assert(!witness ||
                 (witness->fd >= 0 && vgpu_io_path_is_valid(witness->device) && strchr(witness->device, '/')));

        return vgpu_io_path_is_valid(path) && vgpu_io_value_is_valid(value)
                               ? io->ops->write_guarded(io, path, value, witness)
                               : -EINVAL;
}

int vgpu_io_list(VgpuIo *io, const char *path, char ***ret)
{
        return vgpu_io_path_is_valid(path) ? io->ops->list(io, path, ret) : -EINVAL;
}

bool vgpu_io_exists(VgpuIo *io, const char *path)
{
        uint64_t identity;

        return !vgpu_io_is_gone(vgpu_io_identify(io, path, &identity));
}

int vgpu_io_read_link(VgpuIo *io, const char *path, char **ret)
{
        return vgpu_io_path_is_valid(path) ? io->ops->read_link(io, path, ret) : -EINVAL;
}

int vgpu_io_read_link_name(VgpuIo *io, const char *path, char **ret)
{
        g_autofree char *text = NULL;
        const char *slash, *name;
        int r = vgpu_io_read_link(io, path, &text);

        if (r < 0)
                return r;

        slash = strrchr(text, '/');
        name = slash ? slash + 1 : text;
        if (!vgpu_io_name_is_valid(name))
                return -EINVAL;

        *ret = g_strdup(name);

        return 0;
}

/* Computes the target from the text of the link alone: links in sysfs are relative, and none leads through
 * another link. */
int vgpu_io_resolve_link(VgpuIo *io, const char *path, char **ret)
{
        g_autoptr(GPtrArray) stack = g_ptr_array_new();
        g_auto(GStrv) from = NULL, to = NULL;
        g_autofree char *text = NULL, *result = NULL;
        int r = vgpu_io_read_link(io, path, &text);

        if (r < 0)
                return r;

        if (text[0] == '/')
                return -EXDEV;

        from = g_strsplit(path, "/", -1);
        for (char **p = from; p[0] && p[1]; p++) /* the name of the link is dropped */
                g_ptr_array_add(stack, *p);
        to = g_strsplit(text, "/", -1);
        for (char **p = to; *p; p++) {
                if (strcmp(*p, "") == 0 || strcmp(*p, ".") == 0)
                        continue;

                if (strcmp(*p, "..") != 0) {
                        g_ptr_array_add(stack, *p);
                        continue;
                }

                if (stack->len == 0)
                        return -EXDEV;

                g_ptr_array_set_size(stack, (gint)stack->len - 1);
        }

        g_ptr_array_add(stack, NULL);
        result = g_strjoinv("/", (char **)stack->pdata);
        if (!vgpu_io_path_is_valid(result))
                return -EINVAL;

        *ret = g_steal_pointer(&result);

        return 0;
}

int vgpu_io_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        return vgpu_io_path_is_valid(path) ? io->ops->identify(io, path, ret) : -EINVAL;
}

int vgpu_io_open_group(VgpuIo *io, unsigned group)
{
        g_assert(group <= INT_MAX);

        return io->ops->open_group(io, group);
}

int vgpu_io_node_exists(VgpuIo *io, const char *path)
{
        return vgpu_io_path_is_valid(path) ? io->ops->node_exists(io, path) : -EINVAL;
}

int vgpu_io_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        return vgpu_io_path_is_valid(path) ? io->ops->find_holder(io, path, ret_pid, ret_command) : -EINVAL;
}

int vgpu_io_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        return vgpu_io_path_is_valid(folder) ? io->ops->list_held(io, folder, ret) : -EINVAL;
}

int vgpu_io_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        return io->ops->read_definitions(io, ret);
}

int vgpu_io_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        g_assert(prefix[0]);

        return io->ops->list_aliases(io, prefix, ret);
}

int vgpu_io_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output)
{
        g_assert((int)program >= 0 && program < _VGPU_PROGRAM_MAX);

        *ret_output = NULL;

        return io->ops->run ? io->ops->run(io, program, arguments, ret_output) : -ENOENT;
}

void vgpu_io_pause(VgpuIo *io, uint64_t usec)
{
        if (io->ops->pause)
                io->ops->pause(io, MIN(usec, 10 * USEC_PER_SEC));
}

void vgpu_io_on_slow(VgpuIo *io, VgpuIoSlow slow, void *userdata)
{
        io->slow = slow;
        io->slow_userdata = userdata;
}

VgpuIo *vgpu_io_free(VgpuIo *io)
{
        if (io)
                io->ops->free(io);
        return NULL;
}
