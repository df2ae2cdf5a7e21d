/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-io.h"

#include <fcntl.h>

#include "base/parse-util.h"

#define FILES_MAX 256

typedef struct File {
        char kind;
        char *path, *text; /* owned */
        int errnum;
} File;

typedef struct FuzzIo {
        VgpuIo io;
        GPtrArray *files; /* owned: File */
} FuzzIo;

static void file_free(gpointer p)
{
        File *f = p;

        g_free(f->path);
        g_free(f->text);
        g_free(f);
}

static char *replace_all(const char *text, const char *from, const char *to)
{
        g_auto(GStrv) parts = g_strsplit(text, from, -1);

        return parts[0] ? g_strjoinv(to, parts) : g_strdup("");
}

static void add_line(FuzzIo *f, const char *line)
{
        const char *equals = strchr(line, '=');
        g_autofree char *path = NULL;
        uint32_t errnum;
        File *file;

        if (strlen(line) < 3 || line[1] != ' ' || !equals || equals < line + 2 || f->files->len == FILES_MAX)
                return;

        path = g_strndup(line + 2, (gsize)(equals - line - 2));
        file = g_new(File, 1);
        *file = (File){ .kind = line[0],
                        .path = replace_all(path, "@", FUZZ_GPU),
                        .text = replace_all(equals + 1, "\\n", "\n") };
        if (equals[1] == '!' && parse_u32(equals + 2, 10, &errnum) >= 0 && errnum > 0 && errnum < 134)
                file->errnum = (int)errnum;
        g_ptr_array_add(f->files, file);
}

static int find(VgpuIo *io, char kind, const char *path, File **ret)
{
        const FuzzIo *f = (FuzzIo *)io;

        for (guint i = 0; i < f->files->len; i++) {
                File *file = f->files->pdata[i];

                if (file->kind != kind || strcmp(file->path, path) != 0)
                        continue;

                *ret = file;
                return -file->errnum;
        }

        return -ENOENT;
}

static int fuzz_read(VgpuIo *io, const char *path, char **ret)
{
        File *file;
        int r = find(io, 'r', path, &file);

        /* A copy of exact size, so that a sanitizer finds a read beyond the end. */
        if (r >= 0)
                *ret = g_strndup(file->text, strnlen(file->text, VGPU_IO_ATTR_MAX));

        return r;
}

static int fuzz_write(VgpuIo *io, const char *path, const char *value)
{
        File *file;
        int r = find(io, 'w', path, &file);

        if (r < 0 && r != -ENOENT)
                return r;

        r = find(io, 'r', path, &file);
        if (r >= 0) {
                g_free(file->text);
                file->text = g_strdup(value);
        }

        return r;
}

static int fuzz_write_guarded(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        return fuzz_write(io, path, value);
}

static int fuzz_list(VgpuIo *io, const char *path, char ***ret)
{
        g_autoptr(GStrvBuilder) names = g_strv_builder_new();
        g_auto(GStrv) words = NULL;
        File *file;
        int r = find(io, 'd', path, &file);

        if (r < 0)
                return r;

        /* No name of a file has a slash. */
        words = g_strsplit_set(file->text, " /", -1);
        for (char **w = words; *w; w++)
                if (**w)
                        g_strv_builder_add(names, *w);
        *ret = g_strv_builder_end(names);

        return 0;
}

static int fuzz_read_link(VgpuIo *io, const char *path, char **ret)
{
        File *file;
        int r = find(io, 'l', path, &file);

        if (r >= 0)
                *ret = g_strdup(file->text);

        return r;
}

static int fuzz_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        *ret = strlen(path) + 1;

        return 0;
}

static int fuzz_open_group(VgpuIo *io, unsigned group)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int fuzz_node_exists(VgpuIo *io, const char *path)
{
        return 1;
}

static int fuzz_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        return 0;
}

static int fuzz_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        *ret = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        return 0;
}

static int fuzz_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        *ret = g_new0(VgpuDefinitions, 1);
        (*ret)->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        return 0;
}

static int fuzz_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        g_autoptr(GStrvBuilder) found = g_strv_builder_new();
        g_auto(GStrv) lines = NULL;
        File *file;
        int r = find(io, 'a', "modules.alias", &file);

        if (r < 0)
                return r;

        lines = g_strsplit(file->text, "\n", -1);
        for (char **l = lines; *l; l++)
                if (g_str_has_prefix(*l, prefix))
                        g_strv_builder_add(found, *l);
        *ret = g_strv_builder_end(found);

        return 0;
}

static int fuzz_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output)
{
        File *file;
        int r = find(io, program == VGPU_PROGRAM_SYSTEMCTL ? 's' : 'n', arguments[0], &file);
        int status;

        if (r < 0)
                return r;

        /* The first byte of the text is the exit status, if it is a digit. */
        status = g_ascii_isdigit(file->text[0]) ? file->text[0] - '0' : 0;
        *ret_output = g_strdup(file->text[0] ? file->text + 1 : "");

        return status;
}

static void fuzz_free(VgpuIo *io)
{
        FuzzIo *f = (FuzzIo *)io;

        g_ptr_array_unref(f->files);
        g_free(f);
}

static const VgpuIoOps fuzz_ops = {
        .read = fuzz_read,
        .write = fuzz_write,
        .write_guarded = fuzz_write_guarded,
        .list = fuzz_list,
        .read_link = fuzz_read_link,
        .identify = fuzz_identify,
        .open_group = fuzz_open_group,
        .node_exists = fuzz_node_exists,
        .find_holder = fuzz_find_holder,
        .list_held = fuzz_list_held,
        .list_aliases = fuzz_list_aliases,
        .read_definitions = fuzz_read_definitions,
        .run = fuzz_run,
        .free = fuzz_free,
};

VgpuIo *fuzz_io_new(FuzzInput *in)
{
        g_autofree char *text = fuzz_take_text(in);
        FuzzIo *f = g_new(FuzzIo, 1);
        char *line, *next = text;

        *f = (FuzzIo){ .io.ops = &fuzz_ops, .files = g_ptr_array_new_with_free_func(file_free) };
        while ((line = fuzz_take_line(&next)))
                add_line(f, line);

        return &f->io;
}
