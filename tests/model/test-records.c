/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/stat.h>
#include <unistd.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/store/records.h"
#include "drivers-glue/io/io.h"
#include "scratch.h"
#include "tests.h"

#define A "aaaaaaaa-0000-4000-8000-000000000001"
#define B "bbbbbbbb-0000-4000-8000-000000000002"

/* Returns the descriptor of the directory of records, which the Records own. */
static int directory_fd(Records *records)
{
        SharedFd *directory = records_directory(records);
        int fd = shared_fd_get(directory);

        shared_fd_unref(directory);

        return fd;
}

static Record record(const char *uuid)
{
        Record r = { .gpu = (char *)"0000:00:02.0",
                     .type_id = (char *)"i915-GVTg_V5_4",
                     .name = (char *)"x y=\n\t;#[]",
                     .owner = 1000,
                     .created_usec = 1234567890123456,
                     .undo = true };

        memcpy(r.uuid, uuid, sizeof r.uuid);

        return r;
}

static void test_life(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Records *records;
        Record a = record(A), b = record(B);

        a.name = NULL;
        b.name = (char *)"hugo";
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NULL(records_get(records, A));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_commit(records, B));
        ASSERT_ERROR(records_commit(records, "cccccccc-0000-4000-8000-000000000003"), ENOENT);
        ASSERT_STREQ(records_find_name(records, "hugo")->uuid, B);
        ASSERT_NULL(records_find_name(records, "emil"));
        ASSERT_FALSE(records_get(records, A)->interrupted);
        records_free(records);

        /* The next daemon finds that the create of A was interrupted. */
        ASSERT_OK(records_open(s.fd, &records));
        const Record *r = records_get(records, A);
        ASSERT_NOT_NULL(r);
        ASSERT_STREQ(r->gpu, "0000:00:02.0");
        ASSERT_STREQ(r->type_id, "i915-GVTg_V5_4");
        ASSERT_NULL(r->name);
        ASSERT_EQ(r->owner, 1000);
        ASSERT_EQ(r->created_usec, 1234567890123456);
        ASSERT_FALSE(r->made);
        ASSERT_TRUE(r->undo);
        ASSERT_TRUE(r->interrupted);
        r = records_get(records, B);
        ASSERT_TRUE(r->made);
        ASSERT_FALSE(r->undo);
        ASSERT_FALSE(r->interrupted);
        ASSERT_STREQ(r->name, "hugo");
        records_forget(records, B);
        records_forget(records, B);
        ASSERT_NULL(records_get(records, B));
        records_free(records);
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NULL(records_get(records, B));
        ASSERT_NOT_NULL(records_get(records, A));
        records_free(records);
}

/* Invalid records and temporary files of a killed daemon are removed. */
static void test_damage(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        static const char good[] = "[Instance]\nGpu=mdpy\nType=mdpy-xga\nOwner=0\nCreated=1\nMade=true\n";
        static const char *const bad[] = {
                "",
                "Gpu",
                "[Instance]\n",
                "[Instance]\nGpu=mdpy\nType=mdpy-xga\nOwner=-1\nCreated=1\nMade=true\n",
                "[Instance]\nGpu=mdpy\nType=mdpy-xga\nOwner=0\nCreated=x\nMade=true\n",
                "[Instance]\nGpu=mdpy\nType=mdpy-xga\nOwner=0\nCreated=1\nMade=perhaps\n",
                "[Instance]\nGpu=mdpy\nType=mdpy-xga\nName=../x\nOwner=0\nCreated=1\nMade=true\n",
                "[Instance]\nType=mdpy-xga\nOwner=0\nCreated=1\nMade=true\n",
        };
        g_auto(GStrv) names = NULL;
        Records *records;

        log_set_max_level(LOG_CRIT);
        scratch_directory(&s, "instance");
        scratch_file(&s, "instance/" A, good);
        scratch_file(&s, "instance/." B ".tmp", "[Inst");
        scratch_file(&s, "instance/not-a-uuid", good);
        scratch_file(&s, "instance/BBBBBBBB-0000-4000-8000-000000000002", good);
        scratch_link(&s, "instance/cccccccc-0000-4000-8000-000000000003", "/etc/passwd");

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *name = g_strdup_printf("instance/dddddddd-0000-4000-8000-%012zx", i);

                scratch_file(&s, name, bad[i]);
        }

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NOT_NULL(records_get(records, A));
        records_free(records);
        ASSERT_OK(fs_list_at(s.fd, "instance", &names));
        ASSERT_STREQ(names[0], A);
        ASSERT_NULL(names[1]);
}

/* A record that says that its instance must be removed (`undo`) says so to each later daemon. The rollback of A
 * failed. The create of B, the first instance of its job, was interrupted. */
static void test_undo(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Records *records;
        Record a = record(A), b = record(B);

        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        a.undo = false;
        memcpy(b.first, B, sizeof b.first);
        ASSERT_OK(records_put(records, &a));
        records_leave_open(records, A);
        ASSERT_OK(records_put(records, &b));
        records_free(records);

        for (unsigned n = 0; n < 3; n++) {
                ASSERT_OK(records_open(s.fd, &records));
                ASSERT_TRUE(records_get(records, A)->undo);
                ASSERT_TRUE(records_get(records, B)->undo);
                ASSERT_EQ(records_get(records, A)->interrupted, n == 0);
                ASSERT_OK(records_commit_undo(records, A));
                ASSERT_OK(records_commit_undo(records, B));
                records_free(records);
        }
}

/* A and B are instances of one job. If the first must be removed, so must the second. */
static void test_undo_first(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Records *records;
        Record a = record(A), b = record(B);

        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        memcpy(a.first, A, sizeof a.first);
        memcpy(b.first, A, sizeof b.first);
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_commit_undo(records, A));
        records_free(records);
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_TRUE(records_get(records, B)->undo);
        records_free(records);
}

static void append_proof(Records *records, const char *uuid, uint64_t identity)
{
        _cleanup_close_ int fd = records_open_witness(directory_fd(records), uuid);

        ASSERT_OK(fd);
        ASSERT_TRUE(dprintf(fd, VGPU_WITNESS_FORMAT, (unsigned long long)identity) > 0);
}

/* vgpud-write appends the inode to the record, before or after the next daemon has read the record. */
static void test_proof(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A), b = record(B);
        Records *records;

        a.name = b.name = NULL;
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), B, "0000:08:00.4", NULL, 5));
        append_proof(records, A, 77);
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_TRUE(records_get(records, A)->in_doubt);
        ASSERT_TRUE(records_get(records, A)->proven);
        ASSERT_EQ(records_get(records, A)->identity, 77);
        ASSERT_TRUE(records_get(records, B)->in_doubt);
        ASSERT_FALSE(records_get(records, B)->proven);
        ASSERT_EQ(records_read_proof(directory_fd(records), B), 0);
        append_proof(records, B, 78);
        ASSERT_EQ(records_read_proof(directory_fd(records), B), 78);
        records_note_proof(records, B, 78);
        records_end_doubt(records, B);
        ASSERT_TRUE(records_get(records, B)->proven);
        ASSERT_FALSE(records_get(records, B)->in_doubt);
        ASSERT_EQ(records_get(records, B)->identity, 5); /* the inode of the slot, not of the proof */
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_TRUE(records_get(records, B)->proven);
        ASSERT_FALSE(records_get(records, B)->in_doubt);
        ASSERT_EQ(records_get(records, B)->identity, 5);
        ASSERT_EQ(records_read_proof(directory_fd(records), "cccccccc-0000-4000-8000-000000000003"), 0);
        records_free(records);

        ASSERT_TRUE(records_fits(7, 7));
        ASSERT_FALSE(records_fits(7, 8));
        ASSERT_FALSE(records_fits(0, 0));
}

/* A lane that is blocked at the end of the daemon can still write records, because it keeps the directory
 * open. */
static void test_directory_outlives(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A);
        SharedFd *directory;
        Records *records;
        int fd;

        a.name = NULL;
        ASSERT_OK(records_open(s.fd, &records));
        directory = records_directory(records);
        fd = shared_fd_get(directory);
        records_free(records);
        ASSERT_OK(records_begin(fd, &a));
        ASSERT_EQ(faccessat(s.fd, "instance/" A, F_OK, 0), 0);
        shared_fd_unref(directory);
        ASSERT_TRUE(fcntl(fd, F_GETFD) < 0);
}

static void test_of_gpu(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A), b = record(B);
        Records *records;

        a.name = b.name = NULL;
        b.gpu = (char *)"mdpy";
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        g_autoptr(GPtrArray) uuids = records_of_gpu(records, "mdpy");
        ASSERT_EQ(uuids->len, 1);
        ASSERT_STREQ(uuids->pdata[0], B);
        records_free(records);
}

static const Record *find_slot(Records *r, const char *gpu, const char *slot)
{
        g_autoptr(GHashTable) slots = records_index_slots(r, gpu);

        return g_hash_table_lookup(slots, slot);
}

static void test_slot(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;
        Records *records;
        Record a = record(A), b = record(B);

        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), A, "0000:08:00.4", "driver=xe; a=\n1", 0));
        ASSERT_OK(records_reserve(directory_fd(records), B, "0000:08:00.5", NULL, 0));
        ASSERT_NULL(find_slot(records, "0000:00:02.0", "0000:08:00.4"));
        records_free(records);

        /* The daemon was killed before it copied the reservations into its records: the next daemon reads the
         * reservations from their files. */
        ASSERT_OK(records_open(s.fd, &records));
        const Record *r = find_slot(records, "0000:00:02.0", "0000:08:00.4");
        ASSERT_NOT_NULL(r);
        ASSERT_STREQ(r->uuid, A);
        ASSERT_STREQ(r->restore, "driver=xe; a=\n1");
        ASSERT_TRUE(r->interrupted);
        ASSERT_NULL(records_get(records, B)->restore);
        ASSERT_STREQ(records_get(records, B)->slot, "0000:08:00.5");
        ASSERT_NULL(find_slot(records, "0000:08:00.0", "0000:08:00.4"));
        ASSERT_OK(records_commit(records, A));
        records_note_slot(records, A, "0000:08:00.6", "x");
        ASSERT_OK(records_commit(records, A));
        records_forget(records, B);
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_STREQ(records_get(records, A)->slot, "0000:08:00.6");
        ASSERT_STREQ(records_get(records, A)->restore, "x");
        ASSERT_OK(fs_list_at(directory_fd(records), ".", &names));
        ASSERT_EQ(g_strv_length(names), 1);
        records_free(records);
}

/* Another program removed A, and vgpud reserved its slot for B. The slot has one owner after the daemon was
 * killed after records_reserve(), records_note_slot() (`noted`) or records_commit() (`committed`). */
static void slot_again(bool noted, bool committed)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;
        Records *records;
        Record a = record(A), b = record(B);

        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        ASSERT_OK(records_put(records, &a));
        records_note_slot(records, A, "0000:08:00.4", "x");
        ASSERT_OK(records_commit(records, A));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), B, "0000:08:00.4", NULL, 0));

        if (noted) {
                records_note_slot(records, B, "0000:08:00.4", NULL);
                ASSERT_NULL(records_get(records, A));
                ASSERT_STREQ(find_slot(records, "0000:00:02.0", "0000:08:00.4")->uuid, B);
        }

        if (committed)
                ASSERT_OK(records_commit(records, B));
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NULL(records_get(records, A));
        ASSERT_STREQ(find_slot(records, "0000:00:02.0", "0000:08:00.4")->uuid, B);
        ASSERT_EQ(records_get(records, B)->interrupted, !committed);
        ASSERT_OK(fs_list_at(directory_fd(records), ".", &names));
        ASSERT_EQ(g_strv_length(names), committed ? 1 : 2);
        records_free(records);
}

static void test_slot_again(void)
{
        slot_again(false, false);
        slot_again(true, false);
        slot_again(true, true);
}

/* Slots of other GPUs are separate. */
static void test_slot_of_another(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Records *records;
        Record a = record(A), b = record(B);

        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        b.gpu = (char *)"0000:00:03.0";
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        records_note_slot(records, A, "vm1", NULL);
        records_note_slot(records, B, "vm1", NULL);
        records_note_slot(records, B, "vm1", "x");
        ASSERT_STREQ(find_slot(records, "0000:00:02.0", "vm1")->uuid, A);
        ASSERT_STREQ(find_slot(records, "0000:00:03.0", "vm1")->uuid, B);
        records_free(records);
}

/* Slot files without a record, with a committed record, and with invalid contents are ignored and removed. */
static void test_bad_slots(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;
        Records *records;
        Record a = record(A), b = record(B);

        log_set_max_level(LOG_CRIT);
        ASSERT_OK(records_open(s.fd, &records));
        a.name = b.name = NULL;
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_commit(records, A));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), A, "0000:08:00.4", NULL, 0));
        ASSERT_OK(records_reserve(directory_fd(records), "cccccccc-0000-4000-8000-000000000003", "0000:08:00.4",
                                  NULL, 0));
        ASSERT_OK(fs_replace_file_at(directory_fd(records), B ".slot", "[Slot]\n", 7, 0600));
        ASSERT_OK(fs_replace_file_at(directory_fd(records), ".slot", "x", 1, 0600));
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NULL(records_get(records, A)->slot);
        ASSERT_NULL(records_get(records, B)->slot);
        ASSERT_OK(fs_list_at(directory_fd(records), ".", &names));
        ASSERT_EQ(g_strv_length(names), 2);
        records_free(records);
}

/* A full file system has no space for a temporary file, but the last block of the record's file may have space.
 * Here, a folder with the name of the temporary file keeps vgpud from making this file. */
static void test_full(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A), b = record(B);
        Records *records;

        log_set_max_level(LOG_CRIT);
        a.name = NULL;
        b.name = (char *)"hugo";
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), B, "0000:08:00.4", "x", 5));
        append_proof(records, A, 77);
        records_note_slot(records, B, "0000:08:00.4", "x");
        records_note_identity(records, B, 5);
        scratch_directory(&s, "instance/." A ".tmp");
        scratch_directory(&s, "instance/." B ".tmp");
        ASSERT_OK(records_commit(records, A));
        ASSERT_OK(records_commit(records, B));
        records_mark_removing(records, B, true);
        records_mark_removing(records, B, false);
        records_free(records);

        ASSERT_OK(records_open(s.fd, &records));
        const Record *r = records_get(records, A);
        ASSERT_TRUE(r->made);
        ASSERT_FALSE(r->undo);
        ASSERT_FALSE(r->interrupted);
        r = records_get(records, B);
        ASSERT_TRUE(r->made);
        ASSERT_FALSE(r->undo);
        ASSERT_FALSE(r->removal_interrupted);
        ASSERT_STREQ(r->name, "hugo");
        ASSERT_STREQ(r->slot, "0000:08:00.4");
        ASSERT_STREQ(r->restore, "x");
        ASSERT_EQ(r->identity, 5);
        records_free(records);
}

static void set_modes(const Scratch *s, mode_t folder, mode_t file)
{
        static const char *const files[] = { "instance/" A, "instance/" B, "instance/" B ".slot" };

        ASSERT_OK(fchmodat(s->fd, ".", folder, 0));
        ASSERT_OK(fchmodat(s->fd, "instance", folder, 0));
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                ASSERT_OK(fchmodat(s->fd, files[i], file, 0));
}

/* If the files cannot be read now, they may be intact, and the next start may read them. */
static void test_unread(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A), b = record(B);
        bool is_root = geteuid() == 0;
        Records *records;

        log_set_max_level(LOG_CRIT);
        a.name = b.name = NULL;
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_commit(records, A));
        ASSERT_OK(records_put(records, &b));
        ASSERT_OK(records_reserve(directory_fd(records), B, "0000:08:00.4", NULL, 5));
        records_free(records);

        set_modes(&s, 0777, 0);
        if (is_root)
                ASSERT_OK(seteuid(65534));
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NULL(records_get(records, A));
        ASSERT_NULL(records_get(records, B));
        records_free(records);
        if (is_root)
                ASSERT_OK(seteuid(0));
        set_modes(&s, 0700, 0600);

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NOT_NULL(records_get(records, A));
        ASSERT_STREQ(records_get(records, B)->slot, "0000:08:00.4");
        records_free(records);
}

static void move_record(const Scratch *s, const char *from, const char *to)
{
        ASSERT_OK(renameat(s->fd, from, s->fd, to));
}

/* The record of A cannot be read at one start, and that daemon gives the slot of A to B. The next daemon can
 * read the record of A. */
static void unread_slot(bool made)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Record a = record(A), b = record(B);
        Records *records;

        log_set_max_level(LOG_CRIT);
        a.name = b.name = NULL;
        b.created_usec = a.created_usec + 1;
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &a));
        ASSERT_OK(records_reserve(directory_fd(records), A, "0000:08:00.4", "x", 0));
        if (made) {
                records_note_slot(records, A, "0000:08:00.4", "x");
                ASSERT_OK(records_commit(records, A));
        }
        records_free(records);

        move_record(&s, "instance/" A, "a");
        if (!made)
                move_record(&s, "instance/" A ".slot", "a.slot");
        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_OK(records_put(records, &b));
        records_note_slot(records, B, "0000:08:00.4", "y");
        ASSERT_OK(records_commit(records, B));
        records_free(records);
        move_record(&s, "a", "instance/" A);
        if (!made)
                move_record(&s, "a.slot", "instance/" A ".slot");

        ASSERT_OK(records_open(s.fd, &records));
        ASSERT_NOT_NULL(records_get(records, B));
        ASSERT_STREQ(find_slot(records, "0000:00:02.0", "0000:08:00.4")->uuid, B);
        ASSERT_TRUE(!records_get(records, A) || !records_get(records, A)->slot);
        records_free(records);
}

static void test_unread_slot(void)
{
        unread_slot(true);
        unread_slot(false);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_damage);
        TEST(test_undo);
        TEST(test_undo_first);
        TEST(test_proof);
        TEST(test_directory_outlives);
        TEST(test_of_gpu);
        TEST(test_slot);
        TEST(test_slot_again);
        TEST(test_slot_of_another);
        TEST(test_bad_slots);
        TEST(test_full);
        TEST(test_unread);
        TEST(test_unread_slot);

        return tests_end();
}
