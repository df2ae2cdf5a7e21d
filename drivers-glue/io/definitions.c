/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/io/definitions.h"

#include <fcntl.h>
#include <string.h>

#include "base/fs-util.h"
#include "base/pci-addr.h"
#include "base/text.h"
#include "base/uuid.h"

/* The XML of a domain with hundreds of devices has about 100 KiB. */
#define DEFINITION_FILE_MAX (1024 * 1024)

static VgpuDefinitions *definitions_new(void)
{
        VgpuDefinitions *d = g_new0(VgpuDefinitions, 1);

        d->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        return d;
}

VgpuDefinitions *vgpu_definitions_free(VgpuDefinitions *d)
{
        if (!d)
                return NULL;

        g_hash_table_unref(d->files);
        g_free(d->unread);
        g_free(d);

        return NULL;
}

static void definitions_add_unread(VgpuDefinitions *d, const char *file, int r)
{
        g_assert(r < 0);

        if (!d->unread)
                d->unread = g_strdup_printf("%s cannot be read: %s", TEXT_QUOTE(file),
                                            r == -EBADMSG ? "not the XML of a domain" : g_strerror(-r));
}

static void definitions_add(VgpuDefinitions *d, const char *function, const char *file)
{
        if (!g_hash_table_contains(d->files, function))
                g_hash_table_insert(d->files, g_strdup(function), g_strdup(file));
}

/* ---- the XML of a domain ---- */

typedef struct Domain {
        VgpuDefinitions *definitions;
        const char *file;
        bool has_root;
        bool in_function; /* inside <hostdev type='pci'> */
        bool has_address; /* the <source> of this hostdev has an address */
} Domain;

/* libvirt accepts hexadecimal, decimal and octal numbers; a missing number is 0. */
static bool domain_parse_number(const char *text, uint32_t max, uint32_t *ret)
{
        char *end;
        guint64 v;

        *ret = 0;

        if (!text)
                return true;
        if (!g_ascii_isdigit(text[0]))
                return false;

        v = g_ascii_strtoull(text, &end, 0);
        if (*end || v > max)
                return false;

        *ret = (uint32_t)v;

        return true;
}

static const char *domain_find_attribute(const char **names, const char **values, const char *name)
{
        for (; *names; names++, values++)
                if (strcmp(*names, name) == 0)
                        return *values;

        return NULL;
}

static bool domain_add_address(Domain *domain, const char **names, const char **values)
{
        uint32_t bus, device, function, segment;
        char text[PCI_ADDR_STRLEN];

        if (!domain_parse_number(domain_find_attribute(names, values, "domain"), UINT32_MAX, &segment) ||
            !domain_parse_number(domain_find_attribute(names, values, "bus"), 0xff, &bus) ||
            !domain_parse_number(domain_find_attribute(names, values, "slot"), 0x1f, &device) ||
            !domain_parse_number(domain_find_attribute(names, values, "function"), 7, &function))
                return false;

        definitions_add(domain->definitions,
                        pci_addr_format(&(PciAddr){ .domain = segment,
                                                    .bus = (uint8_t)bus,
                                                    .device = (uint8_t)device,
                                                    .function = (uint8_t)function },
                                        text),
                        domain->file);
        domain->has_address = true;

        return true;
}

/* True for the address of a PCI function of the host: an <address> in <source>. An <address> beside <source>
 * belongs to the guest, and an address of a USB or SCSI device has no slot. */
static bool domain_is_host_function(const Domain *domain, const GSList *stack, const char **names,
                                    const char **values)
{
        const char *type = domain_find_attribute(names, values, "type");

        if (!stack->next || strcmp(stack->next->data, "source") != 0)
                return false;
        if (type)
                return strcmp(type, "pci") == 0;

        return domain->in_function || domain_find_attribute(names, values, "slot");
}

static void on_domain_element(GMarkupParseContext *context, const char *element, const char **names,
                              const char **values, gpointer userdata, GError **error)
{
        const GSList *stack = g_markup_parse_context_get_element_stack(context);
        Domain *domain = userdata;
        bool good = true;

        if (!domain->has_root) {
                domain->has_root = true;
                good = strcmp(element, "domain") == 0 || strcmp(element, "domstatus") == 0;
        } else if (strcmp(element, "hostdev") == 0) {
                domain->in_function = g_strcmp0(domain_find_attribute(names, values, "type"), "pci") == 0;
                domain->has_address = false;
        } else if (strcmp(element, "address") == 0 && domain_is_host_function(domain, stack, names, values))
                good = domain_add_address(domain, names, values);

        if (!good)
                g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, element);
}

static void on_domain_element_end(GMarkupParseContext *context, const char *element, gpointer userdata,
                                  GError **error)
{
        Domain *domain = userdata;

        if (strcmp(element, "hostdev") != 0)
                return;

        if (domain->in_function && !domain->has_address)
                g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, element);
        domain->in_function = false;
}

int vgpu_definitions_add_domain(VgpuDefinitions *d, const char *file, const char *text, size_t size)
{
        static const GMarkupParser parser = { .start_element = on_domain_element,
                                              .end_element = on_domain_element_end };
        Domain domain = { .definitions = d, .file = file };
        g_autoptr(GMarkupParseContext) context =
                        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &domain, NULL);

        if (!g_markup_parse_context_parse(context, text, (gssize)size, NULL) ||
            !g_markup_parse_context_end_parse(context, NULL))
                return -EBADMSG;

        return 0;
}

/* ---- folders ---- */

/* Follows links, because an administrator may link a file into the folder. */
static int definitions_read_file(int dirfd, const char *name, char **ret, size_t *ret_size)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        return fd < 0 ? -errno : fs_read_file(fd, DEFINITION_FILE_MAX, ret, ret_size);
}

/* *ret_fd is -EBADF if the folder is missing or cannot be read. */
static void definitions_open_folder(VgpuDefinitions *d, const char *path, int *ret_fd, char ***ret_names)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? -errno : fs_list_at(fd, ".", ret_names);

        *ret_fd = -EBADF;

        if (r >= 0)
                *ret_fd = TAKE_FD(fd);
        else if (r != -ENOENT)
                definitions_add_unread(d, path, r);
}

static void definitions_read_domains(VgpuDefinitions *d, const char *root, const char *folder)
{
        g_autofree char *path = g_build_filename("/", root, folder, NULL);
        g_auto(GStrv) names = NULL;
        _cleanup_close_ int fd = -EBADF;

        definitions_open_folder(d, path, &fd, &names);

        for (char **n = names; n && *n; n++) {
                g_autofree char *file = g_build_filename(path, *n, NULL), *text = NULL;
                size_t size;
                int r;

                if (!g_str_has_suffix(*n, ".xml"))
                        continue;

                r = definitions_read_file(fd, *n, &text, &size);
                if (r == -ENOENT)
                        continue;

                if (r >= 0)
                        r = vgpu_definitions_add_domain(d, file, text, size);
                if (r < 0)
                        definitions_add_unread(d, file, r);
        }
}

/* mdevctl keeps a definition in etc/mdevctl.d/PARENT/UUID. The path has the parent, so the content does not
 * matter. */
static void definitions_read_mdevctl(VgpuDefinitions *d, const char *root)
{
        g_autofree char *path = g_build_filename("/", root, "etc/mdevctl.d", NULL);
        g_auto(GStrv) parents = NULL;
        _cleanup_close_ int fd = -EBADF;

        definitions_open_folder(d, path, &fd, &parents);

        for (char **p = parents; p && *p; p++) {
                g_autofree char *folder = g_build_filename(path, *p, NULL);
                g_auto(GStrv) names = NULL;
                _cleanup_close_ int folder_fd = -EBADF;
                PciAddr address;

                if (pci_addr_parse(*p, &address) < 0)
                        continue;

                definitions_open_folder(d, folder, &folder_fd, &names);

                for (char **n = names; n && *n; n++) {
                        g_autofree char *file = g_build_filename(folder, *n, NULL);

                        if (uuid_is_valid(*n))
                                definitions_add(d, *p, file);
                }
        }
}

VgpuDefinitions *vgpu_definitions_read(const char *root)
{
        VgpuDefinitions *d = definitions_new();

        definitions_read_mdevctl(d, root);
        definitions_read_domains(d, root, "etc/libvirt/qemu");
        definitions_read_domains(d, root, "run/libvirt/qemu");

        return d;
}
