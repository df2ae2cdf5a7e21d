/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lying-io.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/parse-util.h"

/* No back end needs as many answers for the largest GPU: more answers mean an endless loop. */
#define ANSWERS_MAX 100000

static const int lying_errnos[] = {
        ENOENT,  ENODEV, EIO,        EBUSY,  EACCES,  EPERM,     EINVAL,  ENOSPC,    EPROTO,
        EAGAIN,  ENXIO,  EOPNOTSUPP, ERANGE, ENOMEM,  EFAULT,    ELOOP,   ETIMEDOUT, EUSERS,
        EBADMSG, EFBIG,  EXDEV,      EMFILE, ENODATA, ECANCELED, EUCLEAN, ENOKEY,
};

typedef struct Lie {
        char kind;
        char *text; /* owned */
} Lie;

/* A descriptor and its inode: another file may get the same descriptor number later. */
typedef struct Group {
        int fd;
        ino_t inode;
} Group;

typedef struct LyingIo {
        VgpuIo io;
        VgpuIo *truth;
        FuzzInput *in;
        void (*on_write)(const char *path, const char *value, void *userdata);
        void *userdata;
        unsigned left;    /* true answers before the next lie */
        unsigned answers; /* answers so far */
        GHashTable *kept; /* owned: "OPERATION PATH" -> Lie to repeat */
        Lie once;         /* the lie of this answer */
        GArray *groups;   /* owned: Group that open_group() gave out */
} LyingIo;

static LyingIo *lying_io(VgpuIo *io)
{
        return (LyingIo *)io;
}

static void lie_free(gpointer p)
{
        Lie *lie = p;

        g_free(lie->text);
        g_free(lie);
}

static void take_distance(LyingIo *l)
{
        uint8_t byte = fuzz_take_byte(l->in);

        l->left = byte >= '0' ? byte - '0' : byte;
}

/* Returns the lie for this operation, which is valid until the next call; NULL: tell the truth. */
static const Lie *next_lie(LyingIo *l, const char *operation, const char *path)
{
        g_autofree char *key = g_strdup_printf("%s %s", operation, path);
        const Lie *kept = g_hash_table_lookup(l->kept, key);
        char kind;

        g_assert(++l->answers < ANSWERS_MAX);

        if (kept)
                return kept;

        if (l->left > 0 || l->in->size == 0) {
                l->left -= l->left > 0;
                return NULL;
        }

        kind = (char)fuzz_take_byte(l->in);
        g_free(l->once.text);
        l->once = (Lie){ .kind = g_ascii_tolower(kind), .text = fuzz_take_text(l->in) };
        /* Any other byte stands for 'e', so that most random bytes make the operation fail. */
        if (!l->once.kind || !strchr("atpcw", l->once.kind))
                l->once.kind = 'e';
        take_distance(l);

        if (!g_ascii_isupper(kind))
                return &l->once;

        Lie *copy = g_new(Lie, 1);
        *copy = (Lie){ .kind = l->once.kind, .text = g_strdup(l->once.text) };
        g_hash_table_replace(l->kept, g_steal_pointer(&key), copy);

        return copy;
}

static int lie_errno(const Lie *lie)
{
        return -lying_errnos[(unsigned char)(lie->text[0] - 'a') % G_N_ELEMENTS(lying_errnos)];
}

/* Returns the number that the first byte of the lie's text stands for, at most `max`; '0' stands for 0. */
static size_t lie_number(const Lie *lie, size_t max)
{
        unsigned char byte = (unsigned char)lie->text[0];

        return MIN((size_t)(byte >= '0' ? byte - '0' : byte), max);
}

/* Answers an operation that returns a text. r and text are the truth; frees text. */
static int lie_text(const Lie *lie, int r, char *text, size_t max, char **ret)
{
        g_autofree char *truth = text;

        switch (lie->kind) {
        case 'e':
        case 'a':
                return lie_errno(lie);
        case 'w':
                return -ENOENT;
        case 'p':
                if (r < 0)
                        return r;

                *ret = g_strdup_printf("%s%s", truth, lie->text);
                break;
        case 'c':
                if (r < 0)
                        return r;

                *ret = g_strndup(truth, lie_number(lie, strlen(truth)));
                break;
        case 't':
        default:
                *ret = g_strdup(lie->text);
                r = MAX(r, 0);
                break;
        }

        if (strlen(*ret) > max)
                (*ret)[max] = 0;

        return r;
}

static int lying_read(VgpuIo *io, const char *path, char **ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "read", path);
        char *text = NULL;
        int r;

        if (!lie)
                return l->truth->ops->read(l->truth, path, ret);

        r = lie->kind == 'e' || lie->kind == 't' ? 0 : l->truth->ops->read(l->truth, path, &text);

        return lie_text(lie, r, text, VGPU_IO_ATTR_MAX, ret);
}

static int lying_read_link(VgpuIo *io, const char *path, char **ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "link", path);
        char *text = NULL;
        int r;

        if (!lie)
                return l->truth->ops->read_link(l->truth, path, ret);

        r = lie->kind == 't' ? 0 : l->truth->ops->read_link(l->truth, path, &text);

        return lie_text(lie, r, text, VGPU_IO_ATTR_MAX, ret);
}

static int tell_write(VgpuIo *io, const char *path, const char *value,
                      int (*truth)(VgpuIo *io, const char *path, const char *value))
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "write", path);
        int r;

        if (lie && lie->kind == 'e')
                return lie_errno(lie);
        if (lie && lie->kind == 'w')
                return 0;

        if (l->on_write)
                l->on_write(path, value, l->userdata);
        r = truth(l->truth, path, value);

        return lie && lie->kind == 'a' ? lie_errno(lie) : r;
}

static int lying_write(VgpuIo *io, const char *path, const char *value)
{
        return tell_write(io, path, value, lying_io(io)->truth->ops->write);
}

static int lying_write_guarded(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        return tell_write(io, path, value, vgpu_io_write_guarded);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sorted names in a text with "/" between names. */
static char **split_names(const char *text)
{
        g_auto(GStrv) words = g_strsplit(text, "/", -1);
        GPtrArray *names = g_ptr_array_new();

        for (char **w = words; *w; w++)
                if (**w)
                        g_ptr_array_add(names, g_strdup(*w));

        g_ptr_array_sort(names, compare_names);
        g_ptr_array_add(names, NULL);

        return (char **)g_ptr_array_free(names, FALSE);
}

/* Answers an operation that returns names. r and names are the truth; frees names. */
static int lie_names(const Lie *lie, int r, char **names, char ***ret)
{
        g_autofree char *joined = names ? g_strjoinv("/", names) : g_strdup(""), *text = NULL;

        if (lie->kind == 'c' && names) {
                size_t n = lie_number(lie, g_strv_length(names));

                for (char **rest = names + n; *rest; rest++)
                        g_clear_pointer(rest, g_free);
                *ret = names;
                return r;
        }

        g_strfreev(names);
        if (lie->kind == 'p' && r >= 0) {
                text = g_strdup_printf("%s/%s", joined, lie->text);
                *ret = split_names(text);
                return r;
        }

        r = lie_text(lie, r, g_steal_pointer(&joined), SIZE_MAX, &text);
        if (r >= 0)
                *ret = split_names(text);

        return r;
}

static int lying_list(VgpuIo *io, const char *path, char ***ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "list", path);
        char **names = NULL;
        int r;

        if (!lie)
                return l->truth->ops->list(l->truth, path, ret);

        r = lie->kind == 't' ? 0 : l->truth->ops->list(l->truth, path, &names);

        return lie_names(lie, r, names, ret);
}

static int lying_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "aliases", prefix);
        char **names = NULL;
        int r;

        if (!lie)
                return l->truth->ops->list_aliases(l->truth, prefix, ret);

        r = lie->kind == 't' ? 0 : l->truth->ops->list_aliases(l->truth, prefix, &names);

        return lie_names(lie, r, names, ret);
}

static int lying_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "identify", path);

        if (lie && lie->kind != 't')
                return lie_errno(lie);
        if (!lie)
                return l->truth->ops->identify(l->truth, path, ret);

        *ret = (unsigned char)lie->text[0] + 1;

        return 0;
}

static ino_t inode_of(int fd)
{
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static int lying_open_group(VgpuIo *io, unsigned group)
{
        LyingIo *l = lying_io(io);
        g_autofree char *path = g_strdup_printf("%u", group);
        const Lie *lie = next_lie(l, "group", path);
        int r;

        if (!lie)
                r = l->truth->ops->open_group(l->truth, group);
        else
                r = lie->kind == 't' ? open("/dev/null", O_RDONLY | O_CLOEXEC) : lie_errno(lie);
        if (r >= 0) {
                Group given = { r, inode_of(r) };

                g_array_append_val(l->groups, given);
        }

        return r;
}

static int lying_node_exists(VgpuIo *io, const char *path)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "node", path);

        if (!lie)
                return l->truth->ops->node_exists(l->truth, path);

        return lie->kind == 't' ? 1 : lie->kind == 'w' ? 0 : lie_errno(lie);
}

static int lying_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "holder", path);

        if (!lie)
                return l->truth->ops->find_holder(l->truth, path, ret_pid, ret_command);
        if (lie->kind != 't')
                return lie->kind == 'w' ? 0 : lie_errno(lie);

        *ret_pid = 42;
        *ret_command = g_utf8_make_valid(lie->text, -1);

        return 1;
}

static int lying_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "held", folder);
        int r = l->truth->ops->list_held(l->truth, folder, ret);

        if (!lie)
                return r;

        /* *ret is a set even after an error: the nodes of the processes that could be checked. */
        g_hash_table_remove_all(*ret);
        if (lie->kind == 't')
                g_hash_table_add(*ret, g_strdup(lie->text));

        return lie->kind == 't' || lie->kind == 'w' ? 0 : -EACCES;
}

static int lying_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        LyingIo *l = lying_io(io);
        const Lie *lie = next_lie(l, "definitions", "");
        int r = l->truth->ops->read_definitions(l->truth, ret);

        if (r >= 0 && lie && lie->kind == 't' && !(*ret)->unread)
                (*ret)->unread = g_utf8_make_valid(lie->text, -1);
        else if (r >= 0 && lie && lie->kind == 'w')
                g_hash_table_remove_all((*ret)->files);

        return r;
}

static int lying_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output)
{
        LyingIo *l = lying_io(io);
        g_autofree char *words = g_strjoinv(" ", (char **)arguments), *text = NULL;
        const Lie *lie = next_lie(l, program == VGPU_PROGRAM_NVML ? "nvml" : "systemctl", words);
        char *truth = NULL;
        int r;

        if (!lie)
                return l->truth->ops->run(l->truth, program, arguments, ret_output);

        r = lie->kind == 't' ? 0 : l->truth->ops->run(l->truth, program, arguments, &truth);
        r = lie_text(lie, r, truth, VGPU_IO_OUTPUT_MAX, &text);
        if (r < 0)
                return r;

        /* A digit at the beginning of the lie is the exit status; the rest is the output. */
        if (lie->kind == 't' && g_ascii_isdigit(text[0])) {
                *ret_output = g_strdup(text + 1);
                return text[0] - '0';
        }

        *ret_output = g_steal_pointer(&text);

        return r;
}

static void lying_pause(VgpuIo *io, uint64_t usec)
{
        VgpuIo *truth = lying_io(io)->truth;

        truth->ops->pause(truth, usec);
}

static void lying_free(VgpuIo *io)
{
        LyingIo *l = lying_io(io);

        g_hash_table_unref(l->kept);
        g_array_unref(l->groups);
        g_free(l->once.text);
        g_free(l);
}

static const VgpuIoOps lying_ops = {
        .read = lying_read,
        .write = lying_write,
        .write_guarded = lying_write_guarded,
        .list = lying_list,
        .read_link = lying_read_link,
        .identify = lying_identify,
        .open_group = lying_open_group,
        .node_exists = lying_node_exists,
        .find_holder = lying_find_holder,
        .list_held = lying_list_held,
        .list_aliases = lying_list_aliases,
        .read_definitions = lying_read_definitions,
        .run = lying_run,
        .pause = lying_pause,
        .free = lying_free,
};

VgpuIo *lying_io_new(VgpuIo *truth, FuzzInput *in,
                     void (*on_write)(const char *path, const char *value, void *userdata), void *userdata)
{
        LyingIo *l = g_new(LyingIo, 1);

        *l = (LyingIo){ .io.ops = &lying_ops,
                        .truth = truth,
                        .in = in,
                        .on_write = on_write,
                        .userdata = userdata,
                        .kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, lie_free),
                        .groups = g_array_new(FALSE, FALSE, sizeof(Group)) };
        take_distance(l);

        return &l->io;
}

void lying_io_check_closed(VgpuIo *io)
{
        const LyingIo *l = lying_io(io);

        for (guint i = 0; i < l->groups->len; i++) {
                const Group *g = &g_array_index(l->groups, Group, i);

                g_assert(inode_of(g->fd) != g->inode);
        }
}
