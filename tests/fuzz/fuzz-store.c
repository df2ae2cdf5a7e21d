/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fuzzer reads files that an earlier vgpud or another program may have left: records, known types,
 * definitions and notes; and the texts of back ends in a record. The first byte selects the kind. A file that
 * vgpud accepts has the same content after vgpud writes it again. */

#include "fuzz.h"

#include "base/fs-util.h"
#include "base/gpu-note.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "daemon/store/definition-json.h"
#include "daemon/store/definitions.h"
#include "daemon/store/gpu-settings.h"
#include "daemon/store/known-types.h"
#include "daemon/store/records.h"
#include "drivers-glue/io/io.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/vf/return.h"
#include "drivers-glue/type-find.h"
#include "fuzz-folder.h"
#include "fuzz-io.h"

#define UUID_A "11111111-0000-4000-8000-000000000001"
#define UUID_B "22222222-0000-4000-8000-000000000002"

static int open_folder(const char *name)
{
        _cleanup_close_ int parent = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int fd = name ? fs_open_directory_at(parent, name, 0700) : TAKE_FD(parent);

        assert_se(fd >= 0);

        return fd;
}

static void remove_files(int fd, const char *folder)
{
        _cleanup_close_ int parent = open_folder(NULL);
        g_auto(GStrv) names = NULL;

        assert_se(fs_list_at(fd, ".", &names) >= 0);
        for (char **n = names; *n; n++)
                (void)unlinkat(fd, *n, 0);
        (void)unlinkat(parent, folder, AT_REMOVEDIR);
}

/* ---- records ---- */

static void check_record(const Record *r)
{
        g_assert(uuid_is_valid(r->uuid));
        g_assert(r->gpu && r->type_id);
        g_assert(!r->name || instance_name_is_valid(r->name));
        g_assert(!r->first[0] || uuid_is_valid(r->first));
        g_assert(r->interrupted == !r->made);
        g_assert(!r->removal_interrupted || (r->made && r->removing));
}

static void check_same_record(const Record *r, const Record *again)
{
        g_assert(strcmp(r->gpu, again->gpu) == 0 && strcmp(r->type_id, again->type_id) == 0);
        g_assert(g_strcmp0(r->name, again->name) == 0 && g_strcmp0(r->slot, again->slot) == 0);
        g_assert(g_strcmp0(r->restore, again->restore) == 0 && strcmp(r->first, again->first) == 0);
        g_assert(r->owner == again->owner && r->created_usec == again->created_usec);
        g_assert(r->made == again->made && r->removing == again->removing);
        g_assert(r->identity == again->identity);
}

/* The parts of the input are a record, the file of its reserved slot, and another record. */
static void fuzz_records(FuzzInput *in)
{
        static const char *const names[] = { UUID_A, UUID_A ".slot", UUID_B };
        _cleanup_close_ int runtime = open_folder(NULL), fd = open_folder("instance");
        g_autoptr(GPtrArray) uuids = NULL;
        Records *records = NULL, *again = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *text = fuzz_take_text(in);

                if (text[0])
                        fuzz_write_file(fd, names[i], text);
        }

        assert_se(records_open(runtime, &records) >= 0);
        uuids = records_of_gpu(records, NULL);
        for (guint i = 0; i < uuids->len; i++) {
                const Record *r = records_get(records, uuids->pdata[i]);

                check_record(r);
                g_assert(!r->name || records_find_name(records, r->name));
                if (r->slot) {
                        g_autoptr(GHashTable) slots = records_index_slots(records, r->gpu);

                        g_assert(g_hash_table_contains(slots, r->slot));
                }
                assert_se(records_begin(fd, r) >= 0);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_has_suffix(names[i], ".slot"))
                        (void)unlinkat(fd, names[i], 0);

        assert_se(records_open(runtime, &again) >= 0);
        for (guint i = 0; i < uuids->len; i++) {
                const Record *r = records_get(again, uuids->pdata[i]);

                g_assert(r);
                check_same_record(records_get(records, uuids->pdata[i]), r);
        }

        records_free(records);
        records_free(again);
        remove_files(fd, "instance");
}

/* ---- known types ---- */

static void fuzz_known_types(FuzzInput *in)
{
        g_autofree char *text = fuzz_take_text(in);
        _cleanup_close_ int fd = open_folder("types");
        GpuFacts *facts = gpu_facts_new("mdpy", "devices/mdpy");
        KnownTypes *k = known_types_new(fuzz_folder()), *again;
        g_autoptr(GPtrArray) types = NULL, others = NULL;
        GpuSnapshot *s = gpu_snapshot_new();

        fuzz_write_file(fd, "mdpy", text);
        types = known_types_get(k, facts);
        for (guint i = 0; i < types->len; i++) {
                VgpuType *t = vgpu_type_copy(types->pdata[i]);

                g_assert(t->id[0] && t->name);
                g_assert(vgpu_type_equal(t, types->pdata[i]));
                g_strfreev(vgpu_type_aliases(t));
                /* A change of each type makes vgpud write the file again. */
                t->heads++;
                t->available = 1;
                if (!t->key)
                        t->key = vgpu_type_make_key(t, 0x10de);
                g_ptr_array_add(s->types, t);
        }

        gpu_snapshot_seal(s);
        known_types_learn(k, facts, s);
        known_types_free(k);

        again = known_types_new(fuzz_folder());
        others = known_types_get(again, facts);
        g_assert(others->len >= types->len);
        for (guint i = 0; i < others->len; i++)
                g_assert(((const VgpuType *)others->pdata[i])->available == 0);

        known_types_free(again);
        gpu_snapshot_unref(s);
        gpu_facts_unref(facts);
        remove_files(fd, "types");
}

/* ---- definitions ---- */

static void check_same_definition(const Definition *d, const Definition *again)
{
        g_autofree char *sum = definition_checksum(d), *sum_again = definition_checksum(again);

        g_assert(strcmp(sum, sum_again) == 0);
        g_assert(d->owner == again->owner && d->created_usec == again->created_usec);
        g_assert(d->autostart == again->autostart);
}

static void fuzz_definition(FuzzInput *in)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *text = NULL, *written = NULL;
        Definition *d, *again;
        size_t size = in->size;

        /* Take the whole input as text, because a file may have NUL bytes. */
        text = g_malloc(size + 1);
        if (size > 0)
                memcpy(text, in->data, size);
        text[size] = 0;

        if (definition_from_json(UUID_A, text, size, &d, &e) < 0) {
                g_assert(e.message);
                g_assert(e.code == VGPUD_ERROR_INVALID || e.code == VGPUD_ERROR_UNSUPPORTED);
                return;
        }

        g_assert(definition_check(d, NULL) >= 0);
        /* The file may spell the key with escapes. */
        g_assert(strstr(text, "\"version\"") || strstr(text, "\\u"));
        written = definition_to_json(d, &size);
        assert_se(size <= DEFINITION_JSON_MAX &&
                  definition_from_json(UUID_A, written, size, &again, NULL) >= 0);
        check_same_definition(d, again);
        definition_free(d);
        definition_free(again);
}

static void fuzz_settings(FuzzInput *in)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_gpu_settings_ GpuSettings *s = NULL, *again = NULL;
        g_autofree char *text = g_malloc(in->size + 1), *first = NULL, *second = NULL;
        size_t size = in->size;

        if (size > 0)
                memcpy(text, in->data, size);
        text[size] = 0;

        if (gpu_settings_from_json("mdpy", text, size, &s, &e) < 0) {
                g_assert(e.message);
                g_assert(e.code == VGPUD_ERROR_INVALID || e.code == VGPUD_ERROR_UNSUPPORTED);
                return;
        }

        g_assert(gpu_settings_check(s, NULL) >= 0);
        first = gpu_settings_to_json(s, &size);
        assert_se(size <= GPU_SETTINGS_JSON_MAX &&
                  gpu_settings_from_json("mdpy", first, size, &again, NULL) >= 0);
        second = gpu_settings_to_json(again, &size);
        g_assert_cmpstr(first, ==, second);
}

/* The input has the name and the text of two files. vgpud loses no file: each file becomes a definition, is
 * listed as an error, or has a name that vgpud ignores. */
static void fuzz_definitions(FuzzInput *in)
{
        _cleanup_close_ int fd = open_folder("definitions");
        Definitions *d, *again;
        g_autoptr(GPtrArray) list = NULL;
        g_auto(GStrv) before = NULL, after = NULL;
        guint hidden = 0;

        for (size_t i = 0; i < 2; i++) {
                g_autofree char *name = fuzz_take_text(in), *text = fuzz_take_text(in);

                if (vgpu_io_name_is_valid(name) && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        fuzz_write_file(fd, name, text);
        }

        assert_se(fs_list_at(fd, ".", &before) >= 0);
        d = definitions_new(fuzz_folder());
        assert_se(fs_list_at(fd, ".", &after) >= 0);
        for (char **n = before; *n; n++)
                hidden += (*n)[0] == '.' || !g_str_has_suffix(*n, ".json");

        g_assert(g_strv_length(after) + hidden >= g_strv_length(before));
        g_assert(definitions_count(d) + definitions_errors(d)->len + hidden >= g_strv_length(before));

        list = definitions_list(d, NULL);
        g_assert(list->len == definitions_count(d));
        for (guint i = 0; i < list->len; i++) {
                const Definition *definition = list->pdata[i];

                g_assert(!definition->name || definitions_find_name(d, definition->name));
                g_assert(definitions_count_of(d, definition->owner) > 0);
                assert_se(definitions_put(d, definition, NULL) >= 0);
        }

        again = definitions_new(fuzz_folder());
        g_assert(definitions_count(again) == list->len);
        g_assert(definitions_errors(again)->len == definitions_errors(d)->len);
        g_clear_pointer(&list, g_ptr_array_unref);
        list = definitions_list(d, NULL);
        for (guint i = 0; i < list->len; i++) {
                const Definition *definition = list->pdata[i];

                check_same_definition(definition, definitions_get(again, definition->uuid));
                assert_se(definitions_remove(d, definition->uuid, NULL) >= 0);
        }

        g_assert(definitions_count(d) == 0);
        definitions_free(d);
        definitions_free(again);
        remove_files(fd, "definitions");
}

/* ---- texts ---- */

static void fuzz_note(FuzzInput *in)
{
        g_autofree char *text = fuzz_take_text(in), *read = NULL;
        _cleanup_close_ int runtime = open_folder(NULL), fd = open_folder("note");
        const GpuNotes notes = { .runtime_fd = runtime, .gpu = "mdpy" };

        fuzz_write_file(fd, "mdpy", text);
        read = gpu_note_read(&notes, "note");
        g_assert(!read || strlen(read) <= strlen(text));
        gpu_note_remove(&notes, "note");
        g_assert(!gpu_note_read(&notes, "note"));
        remove_files(fd, "note");
}

/* The text is like "driver=foo override=bar quota.vram_quota=1". */
static void fuzz_restore(FuzzInput *in)
{
        VgpuIo *io = fuzz_io_new(in);
        g_autofree char *text = fuzz_take_text(in), *once = NULL, *twice = NULL;
        VfRestore was = { 0 }, again = { 0 };

        vf_restore_from_text(io, text, &was);
        g_assert(was.quotas);
        once = vf_restore_to_text(&was);
        vf_restore_from_text(io, once, &again);
        twice = vf_restore_to_text(&again);
        g_assert(strcmp(once, twice) == 0);
        vf_restore_done(&was);
        vf_restore_done(&again);
        vgpu_io_free(io);
}

DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

/* Matches the text of a XenGT reservation, which may have details that the kernel does not show, with an
 * instance. */
static void fuzz_reservation(FuzzInput *in)
{
        g_autofree char *text = fuzz_take_text(in);
        InstanceDesc *d = instance_desc_new(NULL), *copy;

        d->slot = g_strdup("vm3");
        d->attributes = g_ptr_array_new_with_free_func(attribute_free);
        g_ptr_array_add(d->attributes, vgpu_attribute_new("high_gm", "448M"));
        g_ptr_array_add(d->attributes, vgpu_attribute_new("low_gm", "64M"));

        if (!xengt_driver.match_reservation(d, text))
                g_assert(d->attributes->len == 2);

        copy = instance_desc_copy(d);
        g_assert(instance_desc_equal(d, copy));
        instance_desc_free(copy);
        instance_desc_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FuzzInput in = { data, size };

        log_set_max_level(LOG_CRIT);

        switch (fuzz_take_byte(&in)) {
        case 'r':
                fuzz_records(&in);
                break;
        case 'k':
                fuzz_known_types(&in);
                break;
        case 'd':
                fuzz_definition(&in);
                break;
        case 's':
                fuzz_settings(&in);
                break;
        case 'f':
                fuzz_definitions(&in);
                break;
        case 'n':
                fuzz_note(&in);
                break;
        case 'v':
                fuzz_restore(&in);
                break;
        case 'x':
                fuzz_reservation(&in);
                break;
        default:
                break;
        }

        return 0;
}
